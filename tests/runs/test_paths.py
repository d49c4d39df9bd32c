from pathlib import Path

from oger.runs.paths import checkpoint_step, stages


def test_steps_of_checkpoints() -> None:
    names = ("checkpoint-12", "checkpoint-", "checkpoint-1.tmp", "12", "best")
    assert [checkpoint_step(Path("run") / name) for name in names] == [12, None, None, None, None]


def test_stages_come_in_the_order_of_training(tmp_path: Path) -> None:
    assert stages(tmp_path) == [tmp_path]
    (tmp_path / "first" / "first").mkdir(parents=True)
    assert stages(tmp_path) == [tmp_path / "first" / "first", tmp_path / "first", tmp_path]
