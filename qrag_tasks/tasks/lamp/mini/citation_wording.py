"""The wording of the sample citations: titles between two fields, and frames that quote a term."""

from __future__ import annotations

# Frames that put a part of the title in quotation marks, as real titles do; for some references.
QUOTING_FRAMES = (
    'What We Mean by "{o}" in {s}',
    '"{m}" Revisited: {o} in {s}',
    'Beyond "{o}": New Uses of {m}',
)

# Titles that could come from either of two neighboring fields: which of them the author calls home
# is told by the profile alone. The pairs are those of `paper_wording.NEIGHBORS`.
BRIDGES: dict[tuple[str, str], tuple[str, ...]] = {
    ("language", "education"): (
        '"Why" Questions in Classroom Dialogue',
        "What Learner Essays Reveal About Spelling",
        "Reading Aloud to a Machine: A Pilot Study",
    ),
    ("vision", "robotics"): (
        "Seeing Before Touching: Cameras on Moving Arms",
        "How Far Can a Machine Trust Its Eyes?",
        "Shadows, Mirrors, and Other Traps for Autonomous Carts",
    ),
    ("databases", "networks"): (
        'Is "Eventually" Soon Enough? Waiting Times in Distributed Services',
        "Where Should Replicas Live When Links Are Slow?",
        "Answering Requests Close to the User",
    ),
    ("climate", "agriculture"): (
        "Late Spring Nights and Early Blossoms",
        "When Will It Rain? What Growers Ask of Forecasters",
        "A Calendar of Dry Months for Planting Decisions",
    ),
    ("medicine", "psychology"): (
        "Waiting for a Diagnosis: Worry and What Eases It",
        "Pain That Comes Back at Night",
        "Small Talk Before Surgery and Its Consequences",
    ),
    ("ecology", "vision"): (
        'When Is a Moth "Present"? Lessons From Ten Light Traps',
        "Counting Birds That Do Not Want to Be Seen",
        "A Thousand Photographs of One Meadow",
    ),
    ("software", "databases"): (
        "Changing the Schema While the Product Ships",
        "Slow Queries and the People Who Write Them",
        "What Breaks When Data Outlive Their Programs",
    ),
    ("energy", "networks"): (
        "Meters That Talk: Messages in a Village Grid",
        "Saving Power While Nobody Is Online",
        "Keeping Signals Alive During a Blackout",
    ),
    ("materials", "robotics"): (
        "Soft Fingers That Do Not Wear Out",
        "Lighter Arms From Lighter Metals",
        "What Ten Thousand Grips Do to a Rubber Pad",
    ),
    ("education", "psychology"): (
        'The "Good Student" and Other Self-Images',
        "Why Do Some Pupils Give Up Early?",
        "Tired Minds Before Noon",
    ),
    ("climate", "ecology"): (
        "Warmer Winters and Restless Birds",
        "Do Floods Bring Back the Frogs?",
        "Two Hundred Years of First Snow and Last Flowers",
    ),
    ("software", "language"): (
        "Do Comments Say What Programs Do?",
        "Naming Things: Words That Developers Choose",
        "From Bug Report to Summary Without Reading Twice",
    ),
    ("energy", "climate"): (
        "Still Days in January: What Wind Power Must Expect",
        "Sun, Cloud, and the Price of Being Wrong",
        "How Hot Summers Change the Demand for Cooling",
    ),
    ("agriculture", "ecology"): (
        "Hedges, Bees, and the Edges of Fields",
        "What Grows Back When Nobody Plows?",
        "Counting Earthworms by the Spade",
    ),
    ("materials", "energy"): (
        "Why Cells Swell: Ten Years of Aging Packs",
        "Coatings That Survive the Furnace and the Grid",
        "Thin Films for Long Winters",
    ),
    ("robotics", "medicine"): (
        'Who Says "Stop"? Control in Assisted Walking',
        "A Helping Hand at the Bedside",
        "Steady Instruments for Unsteady Patients",
    ),
}
