"""The wording of the sample e-mails: what is written in the offices of an invented company."""

from __future__ import annotations

from typing import NamedTuple

# Templates are for `random_text.expand`. Slots: {topic} of a kind; {day}, {before} another day;
# {month}; {who} a colleague; {you} who is written to.
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
MONTHS = ("January", "March", "April", "June", "September", "November")
PEOPLE = ("Lena", "Boris", "Mira", "Jonas", "Chloé", "Samir", "Ruth", "Wei")

GREETINGS = ("Hi {you},", "Hello {you},", "Dear {you},", "{you},", "Good morning,")
CLOSINGS = (
    "[Thanks|Many thanks] in advance.",
    "[Call|Write to] me if anything is unclear.",
    "[See you soon.|Talk soon.]",
    "[Best wishes from the second floor.|Best regards.]",
    "Sorry for the [short|late] notice.",
)


class Kind(NamedTuple):
    """A kind of e-mail. What it is about is a phrase without a capital, for styles to build on."""

    topics: tuple[str, ...]
    leads: tuple[str, ...]
    details: tuple[str, ...]
    subject: str


KINDS: dict[str, Kind] = {
    "moves": Kind(
        topics=("budget review", "safety training", "design meeting", "team call", "kickoff"),
        leads=(
            "the {topic} has to move from {before} to {day} because [the room is taken|two of us "
            "are traveling].",
            "we had to shift the {topic}: it is now on {day} at [nine|ten|two], in the same room.",
            "[three|four] people cannot make it on {before}, so I have put the {topic} on {day}.",
        ),
        details=(
            "Please tell me by tonight if that does not suit you.",
            "The agenda stays as it was, and lunch is [provided|on us].",
            "You should have a new entry in your calendar by now.",
        ),
        subject="{topic} moved to {day}",
    ),
    "drafts": Kind(
        topics=("annual report", "press release", "grant proposal", "user manual", "brochure"),
        leads=(
            "attached is the [second|third] draft of the {topic}, and I need your comments by "
            "{day}.",
            "I have finished the {topic} and would be glad of comments by {day}.",
            "could you have a look at the {topic} and send me your comments by {day}?",
        ),
        details=(
            "Chapter two still lacks [figures|a summary], and I am open to ideas.",
            "The printer needs [a week|five days], so there is not much room.",
            "Small things you can change yourself; for the rest, use the margin.",
        ),
        subject="comments on the {topic} by {day}",
    ),
    "bills": Kind(
        topics=("catering invoice", "hotel bill", "software license", "courier bill", "phone bill"),
        leads=(
            "the {topic} for {month} is still open, and the supplier has [called|written] twice.",
            "I cannot pay the {topic} for {month} without your signature.",
            "there are two versions of the {topic} for {month}, and they differ by [eighty|ninety] "
            "euros.",
        ),
        details=(
            "Could you sign it before you leave on [Thursday|Friday]?",
            "A scan is enough, and the original can follow by post.",
            "Accounting has promised to be quick once we have answered.",
        ),
        subject="signature for the {month} {topic}",
    ),
    "repairs": Kind(
        topics=("coffee machine", "badge reader", "projector", "big printer", "elevator"),
        leads=(
            "the {topic} is out of order again and will stay so until {day}.",
            "nobody could use the {topic} this morning, and a technician cannot come before {day}.",
            "please do not touch the {topic}: there is a [burning smell|blinking light], and help "
            "comes on {day}.",
        ),
        details=(
            "Until then, there is another one in the annex.",
            "I know that this is the [second|third] time this [month|year].",
            "The landlord pays, so please report any damage you see.",
        ),
        subject="{topic} out of order until {day}",
    ),
    "arrivals": Kind(
        topics=("accountant", "lab assistant", "site manager", "trainee", "translator"),
        leads=(
            "{who} joins us on {day} as the new {topic} and will sit [by the window|next to you].",
            "our new {topic} is called {who} and starts on {day} at nine.",
            "I am happy to say that {who} has accepted our offer and joins us as {topic} on {day}.",
        ),
        details=(
            "Please drop by and say hello, there will be cake.",
            "A laptop and a key are ready, but the desk still needs a chair.",
            "For the first [two|three] weeks, please explain more than you think is needed.",
        ),
        subject="{who} joins us as the new {topic}",
    ),
    "trips": Kind(
        topics=("trade fair", "customer visit", "site inspection", "plant tour", "conference"),
        leads=(
            "for the {topic} on {day} I have booked the [six|seven] o'clock train and two rooms.",
            "your tickets for the {topic} on {day} are attached.",
            "the {topic} on {day} is confirmed, and the tickets are with me at reception.",
        ),
        details=(
            "Please bring [the samples|a helmet|the signed forms].",
            "We are back late in the evening, and a taxi home is paid for.",
            "It will be cold there, so take a proper coat.",
        ),
        subject="tickets for the {topic} on {day}",
    ),
    "deliveries": Kind(
        topics=("office chairs", "lab gloves", "name badges", "test samples", "new screens"),
        leads=(
            "the {topic} for {who} have arrived, though [one box|two boxes] short.",
            "good news: the {topic} that {who} ordered in {month} have arrived.",
            "a truck has just left [eleven|fourteen] boxes at the gate, and they are the {topic} "
            "for {who}.",
        ),
        details=(
            "They are stacked behind reception and block the fire exit.",
            "Please collect them before the auditors come.",
            "One of the boxes is wet, so check it before you sign.",
        ),
        subject="{topic} for {who} have arrived",
    ),
    "parties": Kind(
        topics=("farewell lunch", "summer party", "team breakfast", "charity run", "jubilee"),
        leads=(
            "you are invited to the {topic} on {day}, rain or shine.",
            "we are planning the {topic} on {day} and have [eleven|fourteen] names on the list.",
            "it would not be the same without you, so please come to the {topic} on {day}.",
        ),
        details=(
            "Cake is welcome, and there is a list in the kitchen.",
            "Partners and children may come too, as long as we know the number.",
            "It will start at [noon|four] and end when the last one leaves.",
        ),
        subject="invitation to the {topic} on {day}",
    ),
}
