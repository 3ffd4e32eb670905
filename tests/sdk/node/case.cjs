// What the scripts share. Nothing here configures an SDK: that is done by the SDK's own environment variables alone.
// Each script prints one JSON object with what it saw; the Rust test that runs it compares.
"use strict";

// Node 18, which Debian 12 has, keeps this class in a module; the SDKs ask for it by its global name.
globalThis.File ??= require("node:buffer").File;

exports.MODEL = process.env.KEYWARD_SDK_MODEL;

/** The keys that must fail, by the name of their case. */
exports.failingKeys = () => Object.entries(JSON.parse(process.env.KEYWARD_SDK_FAILING_KEYS ?? "{}"));

/** Runs a call that must throw, and tells what it threw. Anything but the SDK's own errors passes through. */
exports.caught = async (call, base) => {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof base)) throw error;
    return {
      class: error.constructor.name,
      status: error.status ?? null,
      text: String(error.message),
      reason: error.headers?.get?.("keyward-error") ?? null,
    };
  }
  throw new Error("the call did not fail");
};

/** Runs a script and prints what it saw. */
exports.tell = (facts) =>
  facts().then(
    (seen) => console.log(JSON.stringify(seen)),
    (error) => {
      console.error(error);
      process.exitCode = 1;
    },
  );
