r"""The character tokenizer of the arithmetic world.

One token per printable ASCII character and newline, one for the frequent string `\boxed{`, and PAD, EOS, UNK. Decoding
gives back exactly the encoded text: no spaces are inserted or cleaned up.
"""

from string import ascii_letters, digits, punctuation

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

PAD, EOS, UNK = "<pad>", "<eos>", "<unk>"
BOXED = "\\boxed{"
_CHARACTERS = digits + "\n " + punctuation + ascii_letters


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer from scratch; always the same vocabulary in the same order."""
    vocabulary = {token: index for index, token in enumerate([PAD, EOS, UNK, BOXED, *_CHARACTERS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\\boxed\{|[\s\S]"), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNK,
        padding_side="left",  # generation starts at the right edge
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
