"""Running a plan: cell by cell into a folder, and on from wherever a run was stopped."""
