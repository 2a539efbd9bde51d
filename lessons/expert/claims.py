"""The claims that the course puts to the test, in short: what a prediction and a verdict are about."""

from typing import Any

CLAIMS = {
    "C01": "The right model depends on the task, the data and the money; models differ by what they read and write.",
    "C02": "A foundation model learns from text without labels, is large, and is the start for many other models.",
    "C03": "A chat assistant is a foundation model that was tuned on conversations.",
    "C04": "An open model can be looked into, changed and run anywhere, but may lag behind and lose its maintainers.",
    "C05": "A closed model is run for you, is paid by use, and takes your data on trust.",
    "C06": "Models that embed, that draw and that write are different kinds; embeddings also classify and group.",
    "C07": "An encoder reads but does not write, a decoder writes, an encoder-decoder does both.",
    "C08": "A service is quick to start and is paid by use; a model of your own is weights on your own hardware.",
    "C09": "A model is chosen in rounds: catalogue, model card, a test on your own data; not every model can be tuned.",
    "C10": "There are four levels of effort: prompt, retrieve, fine-tune, train from scratch.",
    "C11": "With no examples in the prompt, a model does well on general tasks.",
    "C12": "More context and more examples in the prompt make answers better.",
    "C13": "A prompt is the cheapest way to begin.",
    "C14": "A model knows nothing from after its training, and nothing private.",
    "C15": "Retrieval puts pieces found in a vector database into the prompt, as far as its length allows.",
    "C16": "Retrieval suits those who lack data, time or hardware, and it cuts made-up answers.",
    "C17": "Fine-tuning writes new weights, learnt from pairs of prompt and answer.",
    "C18": "Fine-tune when a smaller model, a faster answer or up-to-date skill from many labels is wanted.",
    "C19": "Training from scratch is the hardest way, for very large data of a special field only.",
    "C20": "The length limit of the prompt caps how many examples fit.",
    "C21": "Examples in the prompt are paid for again on every call.",
    "C22": "A tuned model is more accurate and needs fewer tokens than examples in the prompt.",
    "C23": "Fine-tuning, in this course, means supervised training on new data.",
    "C24": "Fine-tuning done badly makes a model worse.",
    "C25": "Try prompts and retrieval first: they are the baseline that tuning must beat.",
    "C26": "Whether to tune is settled by questions on the use, the alternatives, the costs and the benefits.",
    "C27": "Tuning is worth it only where the benefits exceed the costs.",
    "C28": "Tuning needs a model that may be tuned, data, a place to train and a place to serve.",
    "C29": "Fine-tuning has limits: something is forgotten, and some weak spots stay.",
    "C30": "Fine-tuning becomes awkward when the data change often.",
    "C31": "Tuning gives the exact terms and phrasing of a trade; retrieval alone misses shades.",
    "C32": "Fine-tuning needs good data; few or narrow examples change little.",
    "C33": "Tuned knowledge cannot be looked up; with retrieval a wrong answer leads back to its source.",
    "C34": "Where outside data are needed: retrieval.",
    "C35": "Where stable, exact knowledge of a trade is needed: fine-tuning.",
    "C36": "Where a trade's words and way of writing are needed: fine-tuning.",
    "C37": "Where questions join many pieces of knowledge: retrieval.",
    "C38": "Where a whole business process runs by itself: retrieval and tuning together.",
    "C39": "A vector database finds what is similar, not what is equal, and serves search and recommendation.",
    "C40": "LoRA learns a small low-rank change: less memory, less time, nearly the quality of full tuning.",
    "C41": "QLoRA keeps the frozen base in 4 bits and so needs less memory again.",
    "C42": "QLoRA takes about 30 % more time to train than LoRA.",
    "C43": "The adapter makes up for what 4-bit rounding spoils.",
    "C44": "QLoRA tunes a model of 70 billion weights on 2 GPUs where 36 would be needed.",
    "C45": "Adapting a model needs no change to its algorithm.",
}


def as_share(value: Any) -> float | None:
    """A learner's prediction as a share from 0 to 1. None stays None, and so does what is no share: the page says why.

    ``predict("C14", as_share(my_prediction))`` keeps a number, never a text or a percentage by mistake.
    """
    if value is None or value is ...:
        return None
    number = _number(value)
    if number is not None and 0 <= number <= 1:
        return number
    meant = number is not None and 1 < number <= 100
    advice = f"for {number:g} % write {number / 100:g}" if meant else "such as 0.3"
    print(f"Not taken as a prediction: {value!r}. A share is one number from 0 to 1; {advice}.")
    return None


def as_truth(value: Any) -> bool | None:
    """A learner's prediction as True or False. None stays None, and so does anything else: the page says why."""
    if value is None or value is ... or isinstance(value, bool):
        return None if value is ... else value
    print(f"Not taken as a prediction: {value!r}. Write True or False.")
    return None


def as_number(value: Any, low: float, high: float | None = None, *, whole: bool = False) -> float | None:
    """A learner's prediction as a number of at least ``low`` and at most ``high``: a count, minutes, tokens.

    None stays None, and so does what is no such number: the page says why.
    """
    if value is None or value is ...:
        return None
    number = None if isinstance(value, str) and "%" in value else _number(value)
    fits = number is not None and low <= number <= (float("inf") if high is None else high)
    if fits and number < float("inf") and not (whole and number % 1):
        return int(number) if number % 1 == 0 else number
    reach = f", {low:g} or more" if high is None else f" from {low:g} to {high:g}"
    print(f"Not taken as a prediction: {value!r}. Give one {'whole ' if whole else ''}number{reach}.")
    return None


def _number(value: Any) -> float | None:
    """A number, also one that was typed as a text, such as "0.3", "0,3" or "30 %"."""
    if isinstance(value, bool):
        return None
    percent = isinstance(value, str) and value.strip().endswith("%")
    text = value.strip().rstrip("% ").replace(",", ".") if isinstance(value, str) else value
    try:
        return float(text) / (100 if percent else 1)
    except (TypeError, ValueError, OverflowError):
        return None
