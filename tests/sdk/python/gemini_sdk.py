"""The `google-genai` package, configured by GOOGLE_GEMINI_BASE_URL and GEMINI_API_KEY alone."""

import os

from case import MODEL, caught, failing_keys, tell
from google import genai
from google.genai import errors


def content(client):
    answer = client.models.generate_content(model=MODEL, contents="Hello")
    return {
        "text": answer.text,
        "input": answer.usage_metadata.prompt_token_count,
        "output": answer.usage_metadata.candidates_token_count,
    }


def content_stream(client):
    text, output = "", None
    for chunk in client.models.generate_content_stream(model=MODEL, contents="Hello"):
        text += chunk.text or ""
        output = chunk.usage_metadata.candidates_token_count
    return {"text": text, "output": output}


def main():
    client = genai.Client()
    facts = {
        "content": content(client),
        "content_stream": content_stream(client),
        "count": client.models.count_tokens(model=MODEL, contents="Hello").total_tokens,
        "models": [model.name for model in client.models.list()],
        "failures": {},
    }
    for name, key in failing_keys().items():
        os.environ["GEMINI_API_KEY"] = key
        facts["failures"][name] = caught(
            lambda: content_stream(genai.Client()) if name.endswith("-stream") else content(genai.Client()),
            base=errors.APIError,
        )
    tell(facts)


main()
