"""From free text to a reference, a tag or a title: what a careful reader would read.

The tables hold what chat models really say. Rows under ``disagreements`` are read otherwise so far.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrag_tasks.tasks.lamp.data import load
from qrag_tasks.tasks.lamp.labels import citation, movie_tag
from qrag_tasks.tasks.lamp.queries import MOVIE_TAGS
from qrag_tasks.tasks.lamp.table import LAMP_TASKS
from qrag_tasks.tasks.scoring.answers import title

T = "The Songs of Birds"


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("[1]", "[1]"),
        (" [2].\n", "[2]"),
        ("**[1]**", "[1]"),
        ("[[1]]", "[1]"),
        ("\\[2\\]", "[2]"),
        ("【1】", "[1]"),
        ("(2)", "[2]"),
        ("1", "[1]"),
        ("2.", "[2]"),
        ("Answer: [2]", "[2]"),
        ("答案：[2]", "[2]"),
        ("The answer is [2].", "[2]"),
        ("The related reference is:\n\n[1]", "[1]"),
        ('[2]: "Deep Birds"', "[2]"),
        ("Reference 2", "[2]"),
        ('Option 1: "Deep Birds"', "[1]"),
        ("I would choose [2] over [1].", "[2]"),
        ("[2]\n\nExplanation: [1] is on fish.", "[2]"),
        ("Of the 2 papers, it is [1].", "[1]"),
        ("Paper 2 (not 1)", "[2]"),
        ("", ""),
        ("[3]", ""),
        ("[12]", ""),
        ("12", ""),
        ("GPT-2", ""),
        ("1.5", ""),
        ("2020", ""),
        ("The second one", ""),
        ("None of them", ""),
        ("[1] or [2]", ""),
        ("[2], [1]", ""),
        ("1 or 2", ""),
        ("Both 1 and 2", ""),
        ("Between 1 and 2, I choose 2.", "[2]"),
        ("Both [1] and [2] are related.", ""),
        ("Neither [1] nor [2].", ""),
        ("Between [1] and [2], I choose [2].", "[2]"),
        ("Just answer with [1] or [2] without explanation. [2]", "[2]"),
    ],
)
def test_citation(answer: str, label: str) -> None:
    assert citation(answer) == label


@pytest.mark.parametrize(
    ("answer", "tag"),
    [
        ("comedy", "comedy"),
        ("Comedy.", "comedy"),
        ("**Sci-Fi**", "sci-fi"),
        ("sci fi", "sci-fi"),
        ("Tag: dark comedy", "dark comedy"),
        ("Dark-Comedy", "dark comedy"),
        ("dark_comedy", "dark comedy"),
        ("thought provoking", "thought-provoking"),
        ("Thought\u2011Provoking", "thought-provoking"),
        ("social  commentary", "social commentary"),
        ("标签：classic", "classic"),
        ("🎬 Action", "action"),
        ("#fantasy", "fantasy"),
        ("[violence]", "violence"),
        ("Genre: Romance/Comedy", "romance"),
        ("true story, comedy", "true story"),
        ("based on a true story", "true story"),
        ("Based on the description, the tag is: dystopia", "dystopia"),
        ('The most fitting tag is "Based on a Book".', "based on a book"),
        ("twist ending\n\nExplanation: there is some action", "twist ending"),
        ('psychology" , and the tag for the movie: "Dogs." is "action"', "psychology"),
        ("", ""),
        ("drama", ""),
        ("comedies", ""),
        ("romantic reaction", ""),
        ("SciFi", "sci-fi"),
        (f"Which tag does this movie relate to? tags: [{', '.join(MOVIE_TAGS)}]", ""),
        (f"Of {', '.join(MOVIE_TAGS)} it is classic.", "classic"),
    ],
)
def test_movie_tag(answer: str, tag: str) -> None:
    assert movie_tag(answer) == tag


@pytest.mark.parametrize(
    "answer",
    [
        T,
        f"  {T} \nThis title says",
        f"{T}\n\nNote: This title is short.",
        # Quotes and emphasis.
        f'"{T}"',
        f"\u201c{T}\u201d.",
        f"'{T}'",
        f"`{T}`",
        f"*{T}*",
        f"**{T}**",
        f"***{T}***",
        f'**"{T}"**',
        f'"{T}',
        # Labels.
        f"Title: {T}",
        f"TITLE:{T}",
        f"Title：{T}",
        f"Title:\n{T}",
        f'**Title:** "{T}"',
        f"**Title**: {T}",
        f"## Title: {T}",
        f"Title: {T}\n\nAbstract: We study",
        f"Possible Title: {T}",
        f"Generated headline: {T}",
        f"Subject Line: {T}",
        f"Email subject: {T}",
        f"Paraphrased tweet: {T}",
        f'Rewritten Tweet: "{T}"',
        f"Answer: {T}",
        f"Output: {T}",
        # Announcements, on a line of their own and on the same line.
        f"Here is a title for the abstract:\n\n'{T}'",
        f'Sure! Here is a possible title for the abstract:\n\n"{T}"',
        f"Sure, here's a title for the abstract you provided:\n\n**{T}**\n\nThis title",
        f"Certainly! Based on the abstract you've provided, here's a suitable title:\n\n{T}",
        f"Based on the abstract provided, a possible title for the paper is:\n\n{T}",
        f"Sure.\n{T}",
        f"Okay, here\u2019s a title for the paper: {T}",
        f'Of course! Here\'s a paraphrased version of the tweet: "{T}"',
        f"A suitable title for this abstract would be: {T}",
        f'A possible title for this paper could be "{T}".',
        f'The title of the paper is "{T}".',
        f"I suggest the following title: {T}",
        f'One way to paraphrase this tweet is: "{T}"',
        # The pattern of the prompt goes on.
        f'"{T}" is a title for "We study',
        f'"{T}" is the title for "Tea',
        f'"{T}"  are written by a person.',
    ],
)
def test_a_title_is_found_in(answer: str) -> None:
    assert title(answer) == T


@pytest.mark.parametrize(
    "answer",
    [
        # Emphasis and label together, headings, lists, fences.
        f"**Title: {T}**",
        f'**Title: "{T}"**',
        f'"Title: {T}"',
        f"**Title**\n\n{T}",
        f"# {T}",
        f"1. {T}",
        f'1. "{T}"\n2. "Other"',
        f"Here are some options:\n\n1. {T}\n2. Other",
        f"Here are some options:\n* {T}\n* Other",
        f"```\n{T}\n```",
        # Labels.
        f"Title for the paper: {T}",
        f"Subject for the email: {T}",
        f"Title 1: {T}",
        f"Title suggestion: {T}",
        f"Paraphrased version: {T}",
        f"Response: {T}",
        # Announcements.
        f"The title is: {T}",
        f"The title for the abstract is: {T}",
        f"A title for this paper could be: {T}",
        f'Based on the abstract, a suitable title could be: "{T}"',
        f"Sure, I'd be happy to help! Here's a title: \"{T}\"",
        f"Sure! 😊 Here is a title: {T}",
        f"Of course! Here's one: {T}",
        f"Here you go: {T}",
        f'I would title this paper "{T}".',
        f"Sure! I can help with that.\n\nTitle: {T}",
        f"Great question!\n\nTitle: {T}",
        f"Abstract: We study birds.\nTitle: {T}",
        f"Original tweet: tea\nParaphrased tweet: {T}",
        # What follows it on its line.
        f'"{T}" is a suitable title for this abstract.',
        f'"{T}" would be a good headline.',
        f'Title: "{T}" This title captures the essence of',
        f'"{T}" , and "Other"  are written by a person.',
        # Marks of the turn, and of thinking.
        f"{T}<|im_end|>",
        f"{T}</s>",
        f"{T} [/INST] and so on",
        f"{T}<|end_of_turn|>GPT4 Correct User: Why?",
        f"<think>\n\n</think>\n\n{T}",
    ],
)
def test_a_title_should_be_found_in(answer: str) -> None:
    assert title(answer) == T


@pytest.mark.parametrize(
    "text",
    [
        "The Title of Kings: A Study",
        "Title Generation: A Survey",
        "Titles in the Wild",
        "Headline News: A Corpus Study",
        "Subject Indexing of E-Mail: Possible or Not?",
        "The Best Title Is No Title",
        "Sure Thing",
        "Great Expectations: On Priors",
        "Certainly Not: Uncertainty in NLP",
        "Okay, So What?",
        "Here Comes the Sun",
        "Here's What Trump's Plan Means for You",
        '"Why" Questions in Dialogue',
        '"Yes" and "No": Two Words',
        "'Tis Pity: On Sarcasm",
        "Re: Tea",
        "@user i am *so* tired lol 😂 #monday",
        "Answer: 42",
        "Here's How to Write a Better Headline: 5 Tips",
        "Here's What the New Version of Windows Means: Less Privacy",
        'I Won the Title "Mr. Universe" at 50',
        "Of course! i love tea",
        "**Bold** and **Bald**",
    ],
)
def test_a_title_that_looks_like_an_announcement_survives(text: str) -> None:
    assert title(text) == text
    if '"' not in text:
        assert title(f"Sure! Here is a title:\n\n{text}") == text


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("Paper title: A Study: Birds", "A Study: Birds"),
        ("Subject: Re: Tea\n\nDear all", "Re: Tea"),
        ("Tweet: so tired #monday 😂", "so tired #monday 😂"),
        ("", ""),
        (" \n\t ", ""),
        ("Sure Thing\n\nThis title is short.", "Sure Thing"),
    ],
)
def test_title(answer: str, found: str) -> None:
    assert title(answer) == found


def test_no_real_title_is_changed(real_data: Path) -> None:
    data = load(LAMP_TASKS["lamp5u"], str(real_data))
    titles = {item["title"].strip() for sample in data.samples for item in sample.profile}
    assert len(titles) > 7000
    assert [text for text in sorted(titles) if title(text) != text] == []


# What holds for any text.

PIECES = [
    *"\"'*_#`[]().,:!? \n\t0123456789",
    *("Sure!", "Here is", " a title", "Title:", "：", "“", "”", "**", "[1]", "[2]", "4/5", "4.5"),
    *("on a scale of 1 to 5", " is a title for ", "comedy", "dark-", "Sci", "fi", "I suggest"),
    *("tweet", "the", " is ", "birds", "茶", "😀", "\u2028", "<|im_end|>", "answer"),
]
answers = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=25).map("".join))


@given(answers)
def test_any_text_is_read(answer: str) -> None:
    assert citation(answer) in {"", "[1]", "[2]"}
    assert movie_tag(answer) in {"", *MOVIE_TAGS}
    line = title(answer)
    assert line in answer
    assert line == line.strip()
    assert len(line.splitlines()) <= 1


@pytest.mark.parametrize("answer", ["act\u0131on", "\u017fci-fi"])
def test_letters_that_only_look_like_a_tag_are_none(answer: str) -> None:
    assert movie_tag(answer) in {"", "action", "sci-fi"}


@pytest.mark.parametrize("mark", "*_")
def test_an_answer_of_marks_alone_is_read(mark: str) -> None:
    # Broken models repeat one token, and "****************" is one token.
    assert set(title(mark * 5000)) <= {mark}


@pytest.mark.parametrize("name", ["lamp1u", "lamp2u", "lamp3u"])
@pytest.mark.parametrize(
    "wrapping",
    ["{}", " {}\n", "{}.", "**{}**", '"{}"', "Answer: {}", "The answer is {}.", "{}\n\nBecause"],
)
def test_every_label_is_found_in_every_wrapping(name: str, wrapping: str) -> None:
    task = LAMP_TASKS[name]
    for label in task.answer.values or ():
        assert task.answer.read(wrapping.format(label)) == label


WRAPPINGS = [
    "{}",
    "  {}  \n",
    '"{}"',
    "“{}”",
    "**{}**",
    "Title: {}",
    "**Title:** {}",
    'Title: "{}"',
    "Headline：{}",
    "Subject line: {}",
    "Paraphrased tweet: {}",
    "Sure! Here is a title: {}",
    "Sure! Here is a title:\n\n{}",
    'Certainly! Here\'s a possible headline for the article:\n\n"{}"\n\nIt is short.',
    "Of course, here is a suitable title for the abstract you gave me: **{}**",
    "A concise title would be: {}",
    'I suggest the title "{}".',
    '"{}" is a title for "We study',
    "{}\n\nThis title is short.",
    "{}\nTitle: Another One",
]
words = st.from_regex(r"[A-Za-z][a-z]{0,8}(-[a-z]+)?", fullmatch=True).filter(
    lambda word: (
        word.lower()
        not in {"sure", "certainly", "of", "okay", "ok", "great", "absolutely", "here", "a", "an"}
        | {"the", "i", "my", "one", "title", "headline", "subject", "tweet", "answer", "output"}
        | {"paraphrase", "possible", "suitable", "paper", "article", "suggested", "generated"}
        | {"proposed", "rewritten", "rephrased", "paraphrased", "final", "email", "e-mail"}
    )
)
heads = st.lists(st.one_of(words, words, st.sampled_from(["of", "in", "3D", "été", "茶"])))
plain_titles = st.builds(
    lambda first, rest, tail: " ".join([first, *rest]) + tail,
    words,
    heads,
    st.sampled_from(["", "?", ": A Study", " (Part 2)", " of the 'Best'", ", or: Why"]),
)


@given(st.sampled_from(WRAPPINGS), plain_titles)
def test_a_plain_title_is_found_in_every_wrapping(wrapping: str, plain: str) -> None:
    assert title(wrapping.format(plain)) == plain
