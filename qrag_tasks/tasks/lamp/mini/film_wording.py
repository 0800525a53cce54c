"""The wording of the sample films, none of which exists: themes, one a tag, and who they befall."""

from __future__ import annotations

from typing import NamedTuple

# Templates are for `random_text.expand`. Slots: {name} and {first}, its first part; {job} "piano
# tuner", {a_job} "a piano tuner"; {place}; {she}, {her}: the pronouns of {name}.
HEROES = (
    ("Ilse Marrow", "she", "her"),
    ("Tobin Vance", "he", "his"),
    ("Renée Callow", "she", "her"),
    ("Osric Dunn", "he", "his"),
    ("Maud Pellar", "she", "her"),
    ("Anselm Roque", "he", "his"),
    ("Petra Lindahl", "she", "her"),
    ("Jory Blackett", "he", "his"),
    ("Zoë Harkin", "she", "her"),
    ("Emeric Stahl", "he", "his"),
    ("Wanda Okoro", "she", "her"),
    ("Silas Trent", "he", "his"),
)
JOBS = (
    "piano tuner",
    "night nurse",
    "ferry pilot",
    "map maker",
    "schoolteacher",
    "locksmith",
    "beekeeper",
    "retired detective",
    "court typist",
    "bus driver",
    "watchmaker",
    "young botanist",
)
PLACES = (
    "the harbor town of Quill",
    "the mountain village of Oberlund",
    "a mining town in the north",
    "the island port of Sant Orel",
    "the walled city of Karsk",
    "a village with one road",
    "the river city of Talme",
    "the border town of Vesna",
)

# What may be said of any film.
REMARKS = (
    "[Slow|Quiet] at first, it gains speed after [half an hour|the first act].",
    "The [winter light|sea fog|autumn rain] is as important as any of the actors.",
    "A small cast and a single well-built set are all it needs.",
    "The music is played on [one cello|two guitars|an old organ] and never gets in the way.",
    "It runs for [eighty|ninety] minutes and wastes none of them.",
    "The first scene and the last were shot in the same [kitchen|stairwell].",
)


class Theme(NamedTuple):
    """How a film shows that a tag fits it, either as its premise or by the turn it takes."""

    premises: tuple[str, ...]
    turns: tuple[str, ...]


# In the order in which LaMP lists the tags.
THEMES: dict[str, Theme] = {
    "sci-fi": Theme(
        premises=(
            "{name}, {a_job} in {place}, receives radio messages from a ship [four|six] centuries "
            "away.",
            "The year is [2190|2304], and {job} {name} wakes from cold sleep to find {place} "
            "rebuilt by machines.",
            "When a second moon appears above {place}, {job} {name} is asked to fly there.",
        ),
        turns=(
            "Then a ship without a crew lands nearby, and its computer asks for {first}.",
            "Before long {she} suspects that {her} closest friend is a robot from an orbital yard.",
            "Then the radio begins to speak, from a planet that no longer exists.",
        ),
    ),
    "based on a book": Theme(
        premises=(
            "This adaptation of a [slim|very long] novel follows {name}, {a_job} who comes to "
            "{place} to settle an inheritance.",
            "From the pages of a much-loved novel comes {name}, {a_job} whose notebooks describe "
            "everyone in {place}.",
            "{name}, {a_job}, leaves {place} with one suitcase in this faithful version of a "
            "[prize-winning|long forgotten] novel.",
        ),
        turns=(
            "The script keeps the chapters of the book, and a narrator reads its last line.",
            "Readers of the novel will know which letter {she} finds, and why {she} burns it.",
            "As in the book, the story is told backwards from the day of the trial.",
        ),
    ),
    "comedy": Theme(
        premises=(
            "{name}, {a_job} in {place}, agrees to look after six dogs for a weekend and loses "
            "count by [Friday|Saturday noon].",
            "Mistaken for a famous chef, {job} {name} has three hours to cook for the mayor of "
            "{place}.",
            "{name}, {a_job}, books the only hall in {place} for a wedding and a wrestling match.",
        ),
        turns=(
            "A runaway goat, two sets of twins and a very slow elevator do the rest.",
            "Every lie {she} tells needs a sillier one, and soon half the cast hides in cupboards.",
            "The jokes come fast, and the best of them belong to a grumpy parrot.",
        ),
    ),
    "action": Theme(
        premises=(
            "{name}, {a_job} with a past in the special forces, has one night to get a witness "
            "out of {place}.",
            "When armed men seize the [ferry|night train] to {place}, {job} {name} is the one "
            "passenger they have not counted.",
            "With a stolen truck and forty minutes left, {job} {name} races to {place} to stop a "
            "bomb.",
        ),
        turns=(
            "What follows is a chase over rooftops, through a market and along a moving train.",
            "Soon {first} is hanging from a helicopter with the wrong suitcase in hand.",
            "The last half hour is one long pursuit by car, boat and, finally, snow plow.",
        ),
    ),
    "twist ending": Theme(
        premises=(
            "{name}, {a_job} in {place}, helps the police to look for a missing man whose face "
            "nobody can agree on.",
            "Seven guests are snowed in at an inn near {place}, and {job} {name} counts eight at "
            "breakfast.",
            "{name}, {a_job}, returns to {place} after an accident and hears everyone tell the "
            "same story, word for word.",
        ),
        turns=(
            "The final scene turns every earlier one upside down.",
            "Nothing prepares the viewer for the last five minutes and the door that opens there.",
            "Only at the very end do we learn who has been telling the story.",
        ),
    ),
    "dystopia": Theme(
        premises=(
            "The state assigns every marriage in {place}, and {job} {name} is punished for saying "
            "no.",
            "After the water wars, a company rules {place}, and {job} {name} must [inform|report] "
            "on the neighbors.",
            "{name}, {a_job}, lives under curfew in {place}, where books are rationed like bread.",
        ),
        turns=(
            "Meanwhile the cameras on every corner have begun to turn when {she} walks by.",
            "Soon the regime offers {first} a medal for denouncing {her} own family.",
            "Beyond the wall, the Ministry says, nobody survived, and {she} begins to doubt it.",
        ),
    ),
    "dark comedy": Theme(
        premises=(
            "{name}, {a_job} in {place}, arranges {her} own funeral to find out who will come.",
            "Since a rich uncle in {place} refuses to die, {job} {name} and five other heirs "
            "decide to help.",
            "{name}, {a_job}, inherits a funeral home in {place} that is two corpses short of a "
            "profit.",
        ),
        turns=(
            "The bodies pile up, and so do the polite apologies.",
            "Murder turns out to be a matter of [paperwork|good manners], and one laughs with a "
            "shudder.",
            "Every kind deed kills somebody by accident, which the film finds grimly funny.",
        ),
    ),
    "classic": Theme(
        premises=(
            "In this black-and-white picture of [1938|1947], {job} {name} waits in {place} for a "
            "train that is always late.",
            "Restored from the only surviving print, this silent film sends {job} {name} to "
            "{place} to win back a farm.",
            "A favorite of three generations, this studio picture brings {job} {name} to {place} "
            "with a borrowed hat.",
        ),
        turns=(
            "Film schools still teach the long farewell on the stairs, shot in a single take.",
            "The tune that {first} hums at the window has been quoted by other films ever since.",
            "Made on the old studio lot, it set the pattern for a whole age of cinema.",
        ),
    ),
    "psychology": Theme(
        premises=(
            "{name}, {a_job} in {place}, hears the voice of a dead twin whenever sleep comes near.",
            "After a breakdown, {job} {name} agrees to a course of hypnosis in a clinic near "
            "{place}.",
            "{name}, {a_job}, keeps a diary of every fear that has come up since {she} left "
            "{place}.",
        ),
        turns=(
            "Session by session, a therapist uncovers the memory that {she} has buried.",
            "The more {she} looks into {her} own mind, the less {she} trusts it.",
            "It is guilt, and no enemy, that follows {first} from room to room.",
        ),
    ),
    "fantasy": Theme(
        premises=(
            "A stag that speaks appears to {job} {name} in the woods behind {place} and asks for "
            "help against a witch.",
            "{name}, {a_job} in {place}, opens an old well and lets a family of river spirits into "
            "the house.",
            "At the age of thirty, {job} {name} learns that {place} is built on the back of a "
            "sleeping dragon.",
        ),
        turns=(
            "An old spell leaves {first} until the new moon to find the hidden kingdom.",
            "Then the ghosts in the castle offer {first} a bargain, to be paid in dreams.",
            "Help comes from a talking crow and a magic sword that shrinks with every lie.",
        ),
    ),
    "romance": Theme(
        premises=(
            "{name}, {a_job} in {place}, writes love letters for others until one of them is "
            "answered in person.",
            "Two strangers share a taxi to {place}, and {job} {name} forgets to get out and go "
            "home.",
            "Ten years after they parted, {job} {name} meets {her} first love at a wedding in "
            "{place}.",
        ),
        turns=(
            "Then {she} falls in love, slowly and against all advice.",
            "A summer, a rowing boat and a kiss make {first} forget every other plan.",
            "In the end it is love, admitted to nobody, that makes {first} stay.",
        ),
    ),
    "thought-provoking": Theme(
        premises=(
            "{name}, {a_job} in {place}, must decide whether a stranger's good deed makes up for "
            "an old wrong.",
            "Is a promise to the dead binding? {name}, {a_job} from {place}, spends a winter "
            "looking for the answer.",
            "As the last of twelve jurors in {place}, {job} {name} wonders whether mercy can be "
            "just.",
        ),
        turns=(
            "The film asks what we owe to people we will never meet, and leaves the answer to us.",
            "Long scenes raise questions about chance and duty that stay with one for days.",
            "Whether {she} was right is a question for the whole way home.",
        ),
    ),
    "social commentary": Theme(
        premises=(
            "When the only factory in {place} closes, {job} {name} keeps the canteen open for "
            "those who cannot pay.",
            "{name}, {a_job}, cleans offices in {place} by night for less than the rent of a room.",
            "A new highway divides rich from poor in {place}, and {job} {name} lives on the wrong "
            "side of it.",
        ),
        turns=(
            "Rents rise, wages do not, and the film looks hard at who profits.",
            "Without a single speech, it shows how class and accent decide who is heard.",
            "Behind all this stands a system of [debts|fees] that keeps the poor in their place.",
        ),
    ),
    "violence": Theme(
        premises=(
            "{name}, {a_job} in {place}, takes bloody revenge on the men who burned down the "
            "house.",
            "Two gangs fight for control of {place}, and {job} {name} is beaten into choosing a "
            "side.",
            "{name}, {a_job}, returns to {place} with a knife and a list of nine names.",
        ),
        turns=(
            "The killings are shown at length, and no blow is softened.",
            "Before long there is blood on every wall and nobody left to bury the dead.",
            "It ends in a massacre that is hard to watch.",
        ),
    ),
    "true story": Theme(
        premises=(
            "Drawn from court records, this is the account of {name}, {a_job} who was wrongly "
            "jailed in {place} in [1932|1954].",
            "As it really happened in [1926|1958], {job} {name} leads forty children out of "
            "{place} during a flood.",
            "{name}, {a_job} in {place}, did exist, and the film retraces {her} walk across a "
            "frozen sea.",
        ),
        turns=(
            "The events are real, and photographs of the actual people accompany the credits.",
            "Taken from {her} own diaries, it keeps to the facts, even the dull ones.",
            "Witnesses who knew the real {first} speak between the scenes.",
        ),
    ),
}

# Themes that do not go together in one film.
CLASHES = (
    {"true story", "fantasy"},
    {"true story", "sci-fi"},
    {"true story", "dystopia"},
    {"true story", "based on a book"},
    {"comedy", "dark comedy"},
    {"comedy", "violence"},
    {"classic", "sci-fi"},
)
