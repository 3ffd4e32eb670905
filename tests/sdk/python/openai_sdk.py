"""The `openai` package, configured by OPENAI_BASE_URL and OPENAI_API_KEY alone."""

import io
import os

import openai
from case import MODEL, caught, failing_keys, tell

HELLO = [{"role": "user", "content": "Hello"}]


def chat(client):
    answer = client.chat.completions.create(model=MODEL, messages=HELLO)
    return {
        "text": answer.choices[0].message.content,
        "input": answer.usage.prompt_tokens,
        "output": answer.usage.completion_tokens,
    }


def chat_stream(client, **options):
    text, usage, without_choices = "", None, 0
    for chunk in client.chat.completions.create(model=MODEL, messages=HELLO, stream=True, **options):
        if not chunk.choices:
            without_choices += 1
        for choice in chunk.choices:
            text += choice.delta.content or ""
        if chunk.usage:
            usage = chunk.usage.completion_tokens
    return {"text": text, "output": usage, "chunks_without_choices": without_choices}


def responses(client):
    answer = client.responses.create(model=MODEL, input="Hello")
    return {"text": answer.output_text, "input": answer.usage.input_tokens, "output": answer.usage.output_tokens}


def responses_stream(client):
    text, last = "", None
    for event in client.responses.create(model=MODEL, input="Hello", stream=True):
        if event.type == "response.output_text.delta":
            text += event.delta
        last = event
    return {"text": text, "last": last.type, "output": last.response.usage.output_tokens}


def files(client):
    made = client.files.create(file=("lines.jsonl", io.BytesIO(b'{"a":1}\n')), purpose="batch")
    content = client.files.content(made.id).read()
    listed = [file.id for file in client.files.list()]
    batch = client.batches.create(input_file_id=made.id, endpoint="/v1/chat/completions", completion_window="24h")
    return {
        "content": content.decode(),
        "listed": made.id in listed,
        "batch": client.batches.retrieve(batch.id).status,
    }


def main():
    client = openai.OpenAI()
    facts = {
        "chat": chat(client),
        "chat_stream": chat_stream(client),
        "chat_stream_with_usage": chat_stream(client, stream_options={"include_usage": True}),
        "responses": responses(client),
        "responses_stream": responses_stream(client),
        "embedding": len(client.embeddings.create(model=MODEL, input="Hello").data[0].embedding),
        "models": [model.id for model in client.models.list()],
        "files": files(client),
        "transcription": client.audio.transcriptions.create(model=MODEL, file=("a.wav", b"RIFF0000WAVE")).text,
        "speech": len(client.audio.speech.create(model=MODEL, voice="alloy", input="Hello").read()),
        "failures": {},
    }
    for name, key in failing_keys().items():
        os.environ["OPENAI_API_KEY"] = key
        facts["failures"][name] = caught(
            lambda: chat_stream(openai.OpenAI(max_retries=0)) if name.endswith("-stream") else chat(openai.OpenAI(max_retries=0)),
            base=openai.OpenAIError,
        )
    tell(facts)


main()
