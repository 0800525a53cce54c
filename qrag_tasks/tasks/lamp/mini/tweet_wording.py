"""The wording of the sample tweets: small things of everyday life, told plainly and casually."""

from __future__ import annotations

from typing import NamedTuple


class Thought(NamedTuple):
    """Something to tweet about. {x} is one of the options in both wordings."""

    neutral: str
    casual: str  # a phrase without a capital and without a full stop, for styles to build on
    tag: str
    emoji: str
    options: tuple[str, ...]


THOUGHTS: dict[str, tuple[Thought, ...]] = {
    "travel": (
        Thought(
            "I waited {x} minutes in the rain, and the bus did not come.",
            "{x} minutes in the rain and still no bus",
            "commute",
            "🚌",
            ("20", "35", "45", "50"),
        ),
        Thought(
            "The train was late again, so I missed the beginning of the {x}.",
            "train late again, missed the beginning of the {x}",
            "trainlife",
            "🚆",
            ("meeting", "film", "concert", "lecture"),
        ),
        Thought(
            "A man on the tram was eating {x} with great concentration.",
            "a man on the tram eating {x} as if it were a sport",
            "tramstories",
            "🚋",
            ("a pineapple", "cold noodles", "raw onions", "takoyaki"),
        ),
        Thought(
            "I went to work by bicycle and arrived with wet {x}.",
            "bicycle to work, wet {x} all day",
            "bikelife",
            "🚲",
            ("socks", "hair", "shoes", "gloves"),
        ),
    ),
    "food": (
        Thought(
            "I tried to bake {x}, but the dough did not rise.",
            "tried to bake {x}, the dough had other plans",
            "baking",
            "🍞",
            ("bread", "a lemon cake", "rye rolls", "brioche"),
        ),
        Thought(
            "The {x} at the new place on the corner is very good.",
            "the {x} at the new place on the corner, so good",
            "foodie",
            "🍜",
            ("ラーメン", "jalapeño pizza", "crème brûlée", "dumpling soup"),
        ),
        Thought(
            "I burned the {x} because I was reading a book.",
            "burned the {x}, the book was too good",
            "kitchenfail",
            "🔥",
            ("rice", "onions", "pancakes", "garlic bread"),
        ),
        Thought(
            "I have eaten {x} for dinner three days in a row.",
            "{x} for dinner, day three in a row",
            "dinner",
            "🍽️",
            ("toast", "leftover curry", "potato soup", "cereal"),
        ),
    ),
    "work": (
        Thought(
            "The meeting about {x} could have been an email.",
            "the meeting about {x} was an email in disguise",
            "meetings",
            "💼",
            ("the budget", "parking", "the new logo", "meetings"),
        ),
        Thought(
            "My computer started an update in the middle of the {x}.",
            "computer picked the middle of the {x} for an update",
            "techlife",
            "💻",
            ("interview", "exam", "webinar", "presentation"),
        ),
        Thought(
            "I finished the {x} two days before the deadline.",
            "finished the {x} two whole days before the deadline",
            "deadlines",
            "✅",
            ("report", "translation", "tax return", "thesis chapter"),
        ),
        Thought(
            "Somebody has taken my {x} from the office fridge.",
            "somebody took my {x} from the office fridge, and I have suspects",
            "officelife",
            "🕵️",
            ("yogurt", "sandwich", "piña colada cake", "oat milk"),
        ),
    ),
    "home": (
        Thought(
            "My upstairs neighbor practices the {x} late at night.",
            "upstairs neighbor and the {x}, late at night, again",
            "neighbors",
            "🎺",
            ("trumpet", "accordion", "drums", "tuba"),
        ),
        Thought(
            "I repaired the {x} myself with the help of a video.",
            "repaired the {x} myself, all hail the video",
            "diy",
            "🔧",
            ("sink", "toaster", "door", "washing machine"),
        ),
        Thought(
            "After two hours of cleaning I found my {x} under the sofa.",
            "two hours of cleaning and guess what, my {x}, under the sofa",
            "cleaning",
            "🧹",
            ("passport", "glasses", "keys", "library card"),
        ),
        Thought(
            "I put together a {x} and have three screws left over.",
            "put together a {x}, three screws left over, all fine",
            "furniture",
            "🪛",
            ("bookshelf", "wardrobe", "bunk bed", "desk"),
        ),
    ),
    "pets": (
        Thought(
            "My cat has been asleep on my {x} since this morning.",
            "cat asleep on my {x} since this morning, send help",
            "catlife",
            "🐈",
            ("keyboard", "coat", "homework", "yoga mat"),
        ),
        Thought(
            "Our dog is afraid of the {x}.",
            "our dog against the {x}, and the {x} is winning",
            "doglife",
            "🐕",
            ("vacuum cleaner", "doorbell", "hamster", "umbrella"),
        ),
        Thought(
            "Our parrot has learned to imitate the {x}.",
            "our parrot now does the {x} and nobody sleeps",
            "parrots",
            "🦜",
            ("alarm clock", "phone", "microwave", "smoke detector"),
        ),
        Thought(
            "The hamster escaped, and we found it in the {x}.",
            "hamster escaped, hamster found in the {x}",
            "hamsters",
            "🐹",
            ("piano", "laundry", "cereal box", "guitar case"),
        ),
    ),
    "weather": (
        Thought(
            "It is snowing in {x}, and my winter coat is in the attic.",
            "snow in {x} and my winter coat in the attic, of course",
            "snow",
            "❄️",
            ("April", "May", "October", "late March"),
        ),
        Thought(
            "The sky over the {x} was pink this evening.",
            "pink sky over the {x} this evening, no filter",
            "sunset",
            "🌅",
            ("harbor", "parking lot", "old factory", "río"),
        ),
        Thought(
            "The wind blew my {x} into the river.",
            "wind took my {x}, the river has it now",
            "storm",
            "🌬️",
            ("hat", "umbrella", "shopping list", "scarf"),
        ),
        Thought(
            "It is too hot to {x} today.",
            "too hot to {x} today, ask me tomorrow",
            "heat",
            "🥵",
            ("think", "cook", "sleep", "go out"),
        ),
    ),
    "culture": (
        Thought(
            "I have been listening to the same {x} all week.",
            "same {x} all week and not sorry",
            "nowplaying",
            "🎧",
            ("song", "podcast", "album", "bossa nova mix"),
        ),
        Thought(
            "I finished the {x} at three in the morning and cannot sleep.",
            "finished the {x} at three in the morning, sleep is gone",
            "nightowl",
            "🌙",
            ("novel", "series", "jigsaw puzzle", "manga"),
        ),
        Thought(
            "The {x} at the concert last night was the best part.",
            "last night at the concert, the {x}, best part",
            "livemusic",
            "🎻",
            ("cellist", "encore", "light show", "choir"),
        ),
        Thought(
            "The library wants its {x} back, and I cannot find it.",
            "library wants its {x} back, and it has vanished",
            "library",
            "📚",
            ("atlas", "cookbook", "poetry book", "travel guide"),
        ),
    ),
}
