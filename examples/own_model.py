"""Your own model, data and reward in one file: OGER from Python.

    python examples/own_model.py                              # a tiny random model, seconds on a CPU
    python examples/own_model.py --model Qwen/Qwen2.5-0.5B --steps 200

The problems are sums. Two teachers solve each in their own way; a rollout is right if its box holds the sum, and earns
a little more if it is short.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

from datasets import Dataset

from oger import OGERConfig, OGERTrainer
from oger.rewards import RewardGroup, shaping_reward
from oger.verification import accuracy_reward


@shaping_reward("brief")
def brief(group: RewardGroup) -> Any:
    """Right rollouts earn more the fewer tokens they take; OGER's own reward is added as well."""
    num_tokens = group.mask.sum(dim=1)
    return group.outcome * (1 - num_tokens / num_tokens.max())


def problems(number: int, seed: int = 0) -> list[dict[str, Any]]:
    """Sums of two numbers, each with the solutions of two teachers."""
    draw = random.Random(seed)
    rows = []
    for _ in range(number):
        a, b = draw.randint(1, 9), draw.randint(1, 9)
        direct = f"{a}+{b}=\\boxed{{{a + b}}}"
        counted = "".join(f"{a + step}, " for step in range(b)) + f"\\boxed{{{a + b}}}"
        rows.append(
            {
                "prompt": f"{a}+{b}=?\n",
                "answer": str(a + b),
                "teachers": [{"teacher": "direct", "text": direct}, {"teacher": "counting", "text": counted}],
            }
        )
    return rows


def tiny_model(folder: Path) -> str:
    """An untrained policy of about 30,000 parameters that reads single characters, saved as transformers save any."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = ["<pad>", "<eos>", "<unk>", *"0123456789+=?, \n\\{}boxed"]
    words = Tokenizer(models.WordLevel({letter: place for place, letter in enumerate(letters)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    words.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )
    config = LlamaConfig(
        vocab_size=len(letters), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=256, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a folder or a hub id; default: a tiny random one")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("own_model"))
    chosen = parser.parse_args()

    args = OGERConfig(
        output_dir=str(chosen.out),
        max_steps=chosen.steps,
        num_generations=4,  # rollouts of a prompt; one row of each group becomes a teacher's
        per_device_train_batch_size=16,
        max_completion_length=48,
        learning_rate=1e-3 if chosen.model is None else 1e-6,
        shaping_rewards={"brief": 0.1},
        logging_steps=1,
        report_to="none",
    )
    model = chosen.model or tiny_model(chosen.out / "start")
    trainer = OGERTrainer(model, accuracy_reward, args, Dataset.from_list(problems(64)))
    trainer.train()
    trainer.save_model(str(chosen.out / "trained"))
    print(f"trained on {trainer.teacher_counts.kept} teacher solutions; the policy is in {chosen.out / 'trained'}")


if __name__ == "__main__":
    main()
