"""Which policy a command speaks of."""

from pathlib import Path

import pytest

from oger.runs.policy import load_policy, locate_policy, max_new_tokens
from oger.terminal.errors import UserError
from tests.support.tiny import tiny_policy, tiny_tokenizer


@pytest.mark.parametrize(
    ("checkpoint", "folder"),
    [("last", "model"), ("best", "best"), ("2", "checkpoints/checkpoint-2"), ("10", "checkpoints/checkpoint-10")],
)
def test_a_run_has_a_last_a_best_and_numbered_policies(run_folder: Path, checkpoint: str, folder: str) -> None:
    location = locate_policy(str(run_folder), checkpoint)
    assert Path(location.source) == run_folder / folder
    assert location.recipe is not None
    assert max_new_tokens(location) == 6


def test_the_last_policy_of_an_unfinished_run_is_its_newest_checkpoint(run_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "unfinished"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text((run_folder / "config.yaml").read_text())
    with pytest.raises(UserError, match="no last policy yet"):
        locate_policy(str(run))
    for step in (2, 10):
        name = f"checkpoints/checkpoint-{step}"
        (run / name).symlink_to(run_folder / name)
    assert locate_policy(str(run)).source.endswith("checkpoint-10")
    with pytest.raises(UserError, match="no best policy yet"):
        locate_policy(str(run), "best")


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [("5", "no checkpoint of step 5; it has: 2, 10"), ("newest", "must be last, best or a step number")],
)
def test_a_checkpoint_that_does_not_exist_is_refused(run_folder: Path, checkpoint: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        locate_policy(str(run_folder), checkpoint)


def test_a_model_folder_stands_for_itself_and_has_no_checkpoints(run_folder: Path) -> None:
    folder = str(run_folder / "best")
    location = locate_policy(folder)
    assert (location.source, location.recipe, location.world) == (folder, None, None)
    assert max_new_tokens(location) == 1024
    with pytest.raises(UserError, match="needs a run folder"):
        locate_policy(folder, "best")


def test_the_base_policy_of_a_world(run_folder: Path) -> None:
    location = locate_policy("world:arithmetic")
    assert location.world == "arithmetic"
    assert max_new_tokens(location) < 1024


def test_a_hub_id_is_left_to_transformers_and_anything_else_is_refused(tmp_path: Path) -> None:
    assert locate_policy("owner/some-model_1.5B").source == "owner/some-model_1.5B"
    with pytest.raises(UserError, match="neither a run folder"):
        locate_policy(str(tmp_path))
    for target in ("no_such_run", "./no/such", "/no/such"):
        with pytest.raises(UserError, match="no run or model at"):
            locate_policy(target)


def test_a_broken_model_folder_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    with pytest.raises(UserError, match="cannot load the policy"):
        load_policy(locate_policy(str(tmp_path)))


def test_an_adapter_is_loaded_on_its_base_model(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    tiny_policy().save_pretrained(tmp_path / "base")
    tiny_tokenizer().save_pretrained(tmp_path / "base")
    base = type(tiny_policy()).from_pretrained(tmp_path / "base")
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    adapted.save_pretrained(tmp_path / "adapter")
    model, tokenizer = load_policy(locate_policy(str(tmp_path / "adapter")))
    assert any("lora" in name for name, _ in model.named_parameters())
    assert tokenizer.eos_token == "<eos>"
    assert not model.training
