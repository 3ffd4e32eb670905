//! The same true use in each provider's words. The script holds disjoint buckets; providers report counters that
//! overlap, each in its own way. The formulas here are written from the providers' documentation and know nothing of
//! how the product reads them.

use super::{call::Call, script::Script};
use crate::keys::Service;
use keyward_domain::usage::Buckets;
use serde_json::{Value, json};

fn dollars(nano: i64) -> Value {
    // Nano-dollars of test scripts are far below 2^53, so the decimal text is exact.
    let text = keyward_domain::Money::from_nano(nano).to_string();
    serde_json::from_str(&text).expect("an amount is a number")
}

/// All input as `OpenAI` counts it: cached and audio tokens included.
fn whole_input(buckets: &Buckets) -> u64 {
    buckets.all_input()
}

/// `usage` of a chat completion.
pub(super) fn chat(call: &Call<'_>) -> Value {
    let script = call.script();
    let buckets = &script.buckets;
    let cached = buckets.cache_read;
    let written = buckets.cache_write + buckets.cache_write_long;
    let prompt = whole_input(buckets);
    let inside = buckets.all_output();
    let mut usage = json!({"prompt_tokens": prompt, "completion_tokens": inside, "total_tokens": prompt + inside});
    let details_in = json!({"cached_tokens": cached, "audio_tokens": buckets.audio_input});
    let details_out = json!({"reasoning_tokens": buckets.reasoning, "audio_tokens": buckets.audio_output,
                             "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0});
    match call.service {
        Service::DeepSeek => {
            usage["prompt_cache_hit_tokens"] = json!(cached);
            usage["prompt_cache_miss_tokens"] = json!(prompt - cached);
            usage["prompt_tokens_details"] = json!({"cached_tokens": cached});
            usage["completion_tokens_details"] = json!({"reasoning_tokens": buckets.reasoning});
        }
        Service::Mistral => {
            usage["num_cached_tokens"] = json!(cached);
            usage["prompt_tokens_details"] = json!({"cached_tokens": cached});
            usage["prompt_audio_seconds"] = Value::Null;
        }
        Service::OpenRouter => {
            usage["prompt_tokens_details"] = json!({"cached_tokens": cached, "cache_write_tokens": written,
            "audio_tokens": buckets.audio_input, "video_tokens": 0});
            usage["completion_tokens_details"] = json!({"reasoning_tokens": buckets.reasoning});
            usage["is_byok"] = json!(false);
            usage["server_tool_use"] = json!({"web_search_requests": script.units.searches});
            if let Some(nano) = script.cost_nano {
                usage["cost"] = dollars(nano);
                usage["cost_details"] = json!({"upstream_inference_cost": null});
            }
        }
        Service::Xai => {
            // Reasoning stands beside the completion, not inside it.
            usage["completion_tokens"] = json!(inside - buckets.reasoning);
            usage["prompt_tokens_details"] =
                json!({"text_tokens": prompt, "cached_tokens": cached, "audio_tokens": 0, "image_tokens": 0});
            usage["completion_tokens_details"] = details_out;
            usage["num_sources_used"] = json!(script.units.searches);
            if let Some(nano) = script.cost_nano {
                usage["cost_in_usd_ticks"] = json!(nano * 10);
            }
        }
        Service::Groq => {
            usage["queue_time"] = json!(0.002);
            usage["prompt_time"] = json!(0.001);
            usage["completion_time"] = json!(0.05);
            usage["total_time"] = json!(0.051);
            usage["prompt_tokens_details"] = json!({"cached_tokens": cached});
            usage["completion_tokens_details"] = json!({"reasoning_tokens": buckets.reasoning});
        }
        Service::Perplexity => {
            usage["search_context_size"] = json!("low");
            usage["citation_tokens"] = json!(0);
            usage["num_search_queries"] = json!(script.units.searches);
            usage["reasoning_tokens"] = json!(buckets.reasoning);
            if let Some(nano) = script.cost_nano {
                usage["cost"] = json!({"input_tokens_cost": 0.0, "output_tokens_cost": 0.0, "request_cost": 0.0,
                "total_cost": dollars(nano)});
            }
        }
        Service::Together | Service::Fireworks | Service::HuggingFace => {
            usage["prompt_tokens_details"] = json!({"cached_tokens": cached});
        }
        _ => {
            usage["prompt_tokens_details"] = details_in;
            usage["prompt_tokens_details"]["cache_write_tokens"] = json!(written);
            usage["completion_tokens_details"] = details_out;
        }
    }
    usage
}

/// `usage` of the Responses API.
pub(super) fn responses(script: &Script) -> Value {
    let buckets = &script.buckets;
    let (input, output) = (whole_input(buckets), buckets.all_output());
    json!({"input_tokens": input,
           "input_tokens_details": {"cached_tokens": buckets.cache_read,
           "cache_write_tokens": buckets.cache_write + buckets.cache_write_long},
           "output_tokens": output, "output_tokens_details": {"reasoning_tokens": buckets.reasoning},
           "total_tokens": input + output})
}

/// `usage` of a realtime response.
pub(super) fn realtime(script: &Script) -> Value {
    let buckets = &script.buckets;
    let (input, output) = (whole_input(buckets), buckets.all_output());
    json!({"total_tokens": input + output, "input_tokens": input, "output_tokens": output,
           "input_token_details": {"cached_tokens": buckets.cache_read,
           "text_tokens": buckets.input + buckets.cache_read,
                                   "audio_tokens": buckets.audio_input, "image_tokens": buckets.image_input,
                                   "cached_tokens_details": {"text_tokens": buckets.cache_read, "audio_tokens": 0,
                                   "image_tokens": 0}},
           "output_token_details": {"text_tokens": buckets.output, "audio_tokens": buckets.audio_output}})
}

/// `usage` of an image.
pub(super) fn image(script: &Script) -> Value {
    picture(script.buckets)
}

/// The tokens of pictures.
pub(super) fn picture(buckets: Buckets) -> Value {
    let (input, output) = (whole_input(&buckets), buckets.all_output());
    json!({"total_tokens": input + output, "input_tokens": input, "output_tokens": output,
           "input_tokens_details": {"text_tokens": buckets.input, "image_tokens": buckets.image_input},
           "output_tokens_details": {"text_tokens": buckets.output, "image_tokens": buckets.image_output}})
}

/// `usage` of a transcription.
pub(super) fn transcription(script: &Script) -> Value {
    let buckets = &script.buckets;
    if script.units.millis > 0 {
        let seconds = script.units.millis.div_ceil(1_000);
        return json!({"type": "duration", "seconds": seconds});
    }
    written_down(*buckets)
}

/// The tokens of a transcription.
pub(super) fn written_down(buckets: Buckets) -> Value {
    let (input, output) = (whole_input(&buckets), buckets.all_output());
    json!({"type": "tokens", "input_tokens": input, "output_tokens": output, "total_tokens": input + output,
           "input_token_details": {"text_tokens": buckets.input, "audio_tokens": buckets.audio_input}})
}

/// `usage` of an Anthropic message: input without what the cache gave or took, thinking inside the output.
pub(super) fn anthropic(script: &Script) -> Value {
    let (buckets, units) = (&script.buckets, &script.units);
    let mut tools = json!({"web_search_requests": units.searches, "web_fetch_requests": 0});
    if units.code_runs > 0 {
        tools["code_execution_requests"] = json!(units.code_runs);
    }
    json!({"input_tokens": buckets.input,
           "cache_creation_input_tokens": buckets.cache_write + buckets.cache_write_long,
           "cache_read_input_tokens": buckets.cache_read,
           "cache_creation": {"ephemeral_5m_input_tokens": buckets.cache_write,
           "ephemeral_1h_input_tokens": buckets.cache_write_long},
           "output_tokens": buckets.all_output(),
           "output_tokens_details": {"thinking_tokens": buckets.reasoning},
           "server_tool_use": tools, "service_tier": script.tier.as_deref().unwrap_or("standard"),
           "inference_geo": script.region.as_deref().unwrap_or("global")})
}

/// `usageMetadata` of Gemini: the prompt includes what was cached, the candidates exclude thoughts.
pub(super) fn gemini(script: &Script) -> Value {
    let buckets = &script.buckets;
    let prompt = whole_input(buckets);
    let candidates = buckets.output + buckets.audio_output + buckets.image_output;
    let by_modality = |text: u64, audio: u64, image: u64| {
        let all = [("TEXT", text), ("AUDIO", audio), ("IMAGE", image)];
        let some = all.into_iter().filter(|(_, count)| *count > 0);
        Value::Array(some.map(|(modality, count)| json!({"modality": modality, "tokenCount": count})).collect())
    };
    json!({"promptTokenCount": prompt, "cachedContentTokenCount": buckets.cache_read,
           "candidatesTokenCount": candidates, "thoughtsTokenCount": buckets.reasoning, "toolUsePromptTokenCount": 0,
           "totalTokenCount": prompt + candidates + buckets.reasoning,
           "promptTokensDetails": by_modality(buckets.input + buckets.cache_read, buckets.audio_input,
           buckets.image_input),
           "candidatesTokensDetails": by_modality(buckets.output, buckets.audio_output, buckets.image_output),
           "cacheTokensDetails": []})
}

/// `usage` of Bedrock's Converse: cached tokens stand beside the input.
pub(super) fn converse(script: &Script) -> Value {
    let buckets = &script.buckets;
    let written = buckets.cache_write + buckets.cache_write_long;
    let details: Vec<Value> = [("5m", buckets.cache_write), ("1h", buckets.cache_write_long)]
        .into_iter()
        .filter(|(_, tokens)| *tokens > 0)
        .map(|(ttl, tokens)| json!({"ttl": ttl, "inputTokens": tokens}))
        .collect();
    json!({"inputTokens": buckets.input, "outputTokens": buckets.all_output(),
           "totalTokens": buckets.input + buckets.cache_read + written + buckets.all_output(),
           "cacheReadInputTokens": buckets.cache_read, "cacheWriteInputTokens": written, "cacheDetails": details})
}

/// `usage` of Cohere: what is billed, and beside it a larger count that is not.
pub(super) fn cohere(script: &Script) -> Value {
    let buckets = &script.buckets;
    let searches = if script.units.searches > 0 { json!(script.units.searches) } else { Value::Null };
    json!({"billed_units": {"input_tokens": buckets.input, "output_tokens": buckets.all_output(),
    "search_units": searches, "classifications": null},
           "tokens": {"input_tokens": buckets.input + 65, "output_tokens": buckets.all_output() + 2},
           "cached_tokens": 0})
}
