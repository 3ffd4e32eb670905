"""The `cohere` package, configured by CO_API_URL and CO_API_KEY alone."""

import os

import cohere
from case import MODEL, caught, failing_keys, tell
from cohere.core.api_error import ApiError

HELLO = [{"role": "user", "content": "Hello"}]


# What must fail fails at once: the SDK would else wait as long as the answer says.
ONCE = {"max_retries": 0}


def chat(client):
    answer = client.chat(model=MODEL, messages=HELLO, request_options=ONCE)
    return {"text": answer.message.content[0].text, "billed_output": answer.usage.billed_units.output_tokens}


def chat_stream(client):
    text, billed = "", None
    for event in client.chat_stream(model=MODEL, messages=HELLO, request_options=ONCE):
        if event.type == "content-delta":
            text += event.delta.message.content.text
        if event.type == "message-end":
            billed = event.delta.usage.billed_units.output_tokens
    return {"text": text, "billed_output": billed}


def main():
    client = cohere.ClientV2()
    facts = {
        "chat": chat(client),
        "chat_stream": chat_stream(client),
        "embedding": len(
            client.embed(
                model=MODEL, texts=["Hello"], input_type="search_query", embedding_types=["float"]
            ).embeddings.float_[0]
        ),
        "failures": {},
    }
    for name, key in failing_keys().items():
        os.environ["CO_API_KEY"] = key
        facts["failures"][name] = caught(
            lambda: chat_stream(cohere.ClientV2()) if name.endswith("-stream") else chat(cohere.ClientV2()),
            base=ApiError,
        )
    tell(facts)


main()
