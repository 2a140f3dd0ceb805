"""The files that readers sent to pages and that Streamlit holds in memory."""

from collections.abc import Iterable, Mapping

from streamlit import runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile


def held() -> Mapping[str, int]:
    """How many bytes are held of each session that sent any, once those that ended are let go: Streamlit itself does
    that some time after a session ended. To be asked in the server's event loop."""
    if not runtime.exists():
        return {}
    server = runtime.get_instance()
    manager = server.uploaded_file_mgr
    if not isinstance(manager, MemoryUploadedFileManager):
        return {}
    there = {one.session.id for one in server._session_mgr.list_sessions()}  # those, too, that may come back
    for session in manager.file_storage.keys() - there:
        manager.remove_session_files(session)
    return {session: sum(len(file.data) for file in list(files.values()))
            for session, files in list(manager.file_storage.items()) if files}


def let_go(files: Iterable[UploadedFile]) -> None:
    """Hold files no longer that were taken in, and whose field is about to be empty again."""
    context = get_script_run_ctx(suppress_warning=True)
    if context is not None and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        for file in files:
            context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)
