"""The engine that asks a server: any that answers as OpenAI's ``/v1/completions`` does.

It loads nothing. What it knows of the model is what the server says, and so its evidence is
``stated``; what it can check, it checks: token counts of every request, lengths, names.
"""
