// The `@anthropic-ai/sdk` package, configured by ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY alone.
"use strict";

const Anthropic = require("@anthropic-ai/sdk");
const { MODEL, caught, failingKeys, tell } = require("./case.cjs");

const call = { model: MODEL, max_tokens: 64, messages: [{ role: "user", content: "Hello" }] };

const message = async (client) => {
  const answer = await client.messages.create(call);
  return { text: answer.content[0].text, input: answer.usage.input_tokens, output: answer.usage.output_tokens };
};

const messageStream = async (client) => {
  const stream = client.messages.stream(call);
  const text = await stream.finalText();
  const { usage } = await stream.finalMessage();
  return { text, input: usage.input_tokens, output: usage.output_tokens };
};

tell(async () => {
  const client = new Anthropic();
  const facts = { message: await message(client), message_stream: await messageStream(client), failures: {} };
  for (const [name, key] of failingKeys()) {
    process.env.ANTHROPIC_API_KEY = key;
    const failing = name.endsWith("-stream") ? messageStream : message;
    facts.failures[name] = await caught(() => failing(new Anthropic({ maxRetries: 0 })), Anthropic.AnthropicError);
  }
  return facts;
});
