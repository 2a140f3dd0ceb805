"""What the thousand classes of ImageNet are called."""

from functools import cache
from pathlib import Path


@cache
def imagenet_labels() -> tuple[str, ...]:
    """The 1,000 kinds of things of the ImageNet challenge, in its order: WordNet's first word for each.

    >>> imagenet_labels()[281:286]
    ('tabby', 'tiger cat', 'Persian cat', 'Siamese cat', 'Egyptian cat')
    """
    return tuple(Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8").splitlines())
