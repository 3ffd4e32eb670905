"""The `anthropic` package, configured by ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY alone."""

import os

import anthropic
from case import MODEL, caught, failing_keys, tell

HELLO = [{"role": "user", "content": "Hello"}]


def message(client):
    answer = client.messages.create(model=MODEL, max_tokens=64, messages=HELLO)
    return {"text": answer.content[0].text, "input": answer.usage.input_tokens, "output": answer.usage.output_tokens}


def message_stream(client):
    with client.messages.stream(model=MODEL, max_tokens=64, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    return {"text": text, "input": final.usage.input_tokens, "output": final.usage.output_tokens}


def main():
    client = anthropic.Anthropic()
    facts = {
        "message": message(client),
        "message_stream": message_stream(client),
        "count": client.messages.count_tokens(model=MODEL, messages=HELLO).input_tokens,
        "models": [model.id for model in client.models.list()],
        "failures": {},
    }
    for name, key in failing_keys().items():
        os.environ["ANTHROPIC_API_KEY"] = key
        facts["failures"][name] = caught(
            lambda: message_stream(anthropic.Anthropic(max_retries=0))
            if name.endswith("-stream")
            else message(anthropic.Anthropic(max_retries=0)),
            base=anthropic.AnthropicError,
        )
    tell(facts)


main()
