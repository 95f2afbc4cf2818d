"""The folders of a step are gone when it ends."""

from pathlib import Path

import pytest

from penguins.temporary import delete_temporary_folders, temporary_folder


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_the_folders_of_a_step_are_deleted_however_it_ends(error: type[BaseException] | None) -> None:
    folders: list[Path] = []

    def work() -> None:
        with delete_temporary_folders():
            folders.extend([Path(temporary_folder()), Path(temporary_folder())])
            (folders[0] / "t.csv").write_text("a\n")
            assert all(folder.is_dir() for folder in folders)
            if error:
                raise error

    if error:
        with pytest.raises(error):
            work()
    else:
        work()
    assert len(set(folders)) == 2
    assert not any(folder.exists() for folder in folders)
