// The `openai` package, configured by OPENAI_BASE_URL and OPENAI_API_KEY alone.
"use strict";

const OpenAI = require("openai");
const { MODEL, caught, failingKeys, tell } = require("./case.cjs");

const messages = [{ role: "user", content: "Hello" }];

const chat = async (client) => {
  const answer = await client.chat.completions.create({ model: MODEL, messages });
  return {
    text: answer.choices[0].message.content,
    input: answer.usage.prompt_tokens,
    output: answer.usage.completion_tokens,
  };
};

const chatStream = async (client, options) => {
  const seen = { text: "", output: null, chunks_without_choices: 0 };
  const stream = await client.chat.completions.create({ model: MODEL, messages, stream: true, ...options });
  for await (const chunk of stream) {
    if (chunk.choices.length === 0) seen.chunks_without_choices += 1;
    seen.text += chunk.choices[0]?.delta?.content ?? "";
    if (chunk.usage) seen.output = chunk.usage.completion_tokens;
  }
  return seen;
};

const responses = async (client) => {
  const answer = await client.responses.create({ model: MODEL, input: "Hello" });
  return { text: answer.output_text, input: answer.usage.input_tokens, output: answer.usage.output_tokens };
};

const responsesStream = async (client) => {
  const seen = { text: "", last: null, output: null };
  for await (const event of await client.responses.create({ model: MODEL, input: "Hello", stream: true })) {
    if (event.type === "response.output_text.delta") seen.text += event.delta;
    seen.last = event.type;
    seen.output = event.response?.usage?.output_tokens ?? null;
  }
  return seen;
};

const files = async (client) => {
  const file = await OpenAI.toFile(Buffer.from('{"a":1}\n'), "lines.jsonl");
  const made = await client.files.create({ file, purpose: "batch" });
  const content = await (await client.files.content(made.id)).text();
  return { content };
};

tell(async () => {
  const client = new OpenAI();
  const facts = {
    chat: await chat(client),
    chat_stream: await chatStream(client),
    chat_stream_with_usage: await chatStream(client, { stream_options: { include_usage: true } }),
    responses: await responses(client),
    responses_stream: await responsesStream(client),
    files: await files(client),
    failures: {},
  };
  for (const [name, key] of failingKeys()) {
    process.env.OPENAI_API_KEY = key;
    const call = name.endsWith("-stream") ? chatStream : chat;
    facts.failures[name] = await caught(() => call(new OpenAI({ maxRetries: 0 })), OpenAI.OpenAIError);
  }
  return facts;
});
