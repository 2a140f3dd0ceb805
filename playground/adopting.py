"""An ONNX classifier of anybody's becomes a backbone: cut in a bounded process, kept beside the other data."""

import hashlib
import json
import tempfile
from pathlib import Path

from playground.errors import PlaygroundError
from playground.inspection import bounded
from playground.inspection.preparation import Preparation
from playground.training.transfer import imported


def adopt(path: Path, title: str, preparation: Preparation) -> str:
    """Keep the file without its last layer as a backbone; what a transfer run's request calls it ("onnx:...").

    The same file with the same preparation is the same backbone. Raises PlaygroundError in a sentence where its last
    layer cannot be replaced (`inspection.cutting`).
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PlaygroundError(f"{path.name} cannot be read: {error.strerror}.") from error
    told = json.dumps(preparation.to_dict(), sort_keys=True)
    key = hashlib.sha256(hashlib.sha256(content).digest() + told.encode()).hexdigest()[:16]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / imported.GRAPH
        said = bounded.ask("cut", path, target=str(target), preparation=preparation.to_dict())
        facts = {"title": title, "preparation": preparation.to_dict(),
                 "preprocessing": preparation.preprocessing.to_dict(), **said}
        return imported.put(key, target.read_bytes(), facts)
