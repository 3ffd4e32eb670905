//! Token buckets and cost through the gateway, for every provider with a usage shape. The emulators write the same
//! true use in each provider's own overlapping counters; what Keyward records must be the truth again, and its cost
//! the price list's, computed here by hand.

use crate::{
    connections,
    world::{World, assert_answered},
};
use keyward_domain::usage::{Buckets, Units};
use keyward_testkit::{
    Gate, Script, Service,
    calls::{Sample, main_call},
    wire::Request,
};
use serde_json::{Value, json};

/// One call and what it must be recorded as.
struct Case {
    name: String,
    service: Service,
    sample: Sample,
    script: Script,
    /// What the cost may be, in nano-USD; several where the price depends on the time of the day.
    costs: &'static [i64],
}

/// A model of Replicate's that has a price.
const HAIKU: &str = "/v1/models/anthropic/claude-4.5-haiku/predictions";

fn b() -> Buckets {
    Buckets::default()
}

/// (provider, true tokens, what the provider says it cost, what Keyward must say in nano-USD).
/// The sums name price per million tokens in dollars: 2.5 is 2 500 nano-USD a token.
fn main_rows() -> Vec<(Service, Buckets, Option<i64>, &'static [i64])> {
    let all = |input, cache_read, output, reasoning| Buckets { input, cache_read, output, reasoning, ..b() };
    vec![
        // 101×2.5 + 1009×0.25 + 518×15
        (Service::OpenAi, all(101, 1_009, 211, 307), None, &[8_274_750]),
        // 109×2.5 + 1019×0.25 + 564×15
        (Service::AzureOpenAi, all(109, 1_019, 227, 337), None, &[8_987_250]),
        // 107×1.5 + 1013×0.15 + 554×9
        (Service::Gemini, all(107, 1_013, 223, 331), None, &[5_298_450]),
        // 113×0.8 + 1021×0.2 + 229×3.2
        (Service::Bedrock, all(113, 1_021, 229, 0), None, &[1_027_400]),
        // 127×0.15 + 1031×0.003 + 580×0.6, and twice that at peak hours
        (Service::DeepSeek, all(127, 1_031, 233, 347), None, &[370_143, 740_286]),
        // 131×0.5 + 1033×0.05 + 239×1.5
        (Service::Mistral, all(131, 1_033, 239, 0), None, &[475_650]),
        // what OpenRouter itself states
        (Service::OpenRouter, Buckets { cache_write: 401, ..all(137, 1_039, 241, 349) }, Some(408_000), &[408_000]),
        // the recorded answer of xAI: 1 721 250 ticks
        (Service::Xai, all(1, 11, 2, 340), Some(172_125), &[172_125]),
        // the recorded split of Groq, 963 of 1107; 139×0.15 + 1049×0.075 + 1107×0.6
        (Service::Groq, all(139, 1_049, 144, 963), None, &[763_725]),
        // 149×0.0375 + 251×0.15, rounded up
        (Service::Cohere, all(149, 0, 251, 0), None, &[43_238]),
        // 151×1.2 + 257×4.5
        (Service::Together, all(151, 0, 257, 0), None, &[1_337_700]),
        // 157×0.95 + 263×4
        (Service::Fireworks, all(157, 0, 263, 0), None, &[1_201_150]),
        // what Perplexity itself states
        (Service::Perplexity, all(163, 0, 269, 0), Some(5_006_000), &[5_006_000]),
        // 167×1.4 + 271×4.4
        (Service::HuggingFace, all(167, 0, 271, 0), None, &[1_426_200]),
    ]
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (service, buckets, stated, costs) in main_rows() {
        for stream in [false, true] {
            let name = format!("{}-{}", service.id(), if stream { "stream" } else { "unary" });
            let script = Script { cost_nano: stated, ..Script::using(buckets) };
            cases.push(Case { name, service, sample: main_call(service, stream), script, costs });
        }
    }
    cases.extend(anthropic_cases());
    cases.extend(openai_cases());
    cases.extend(openai_tool_cases());
    cases.extend(other_cases());
    cases
}

fn case(name: &str, service: Service, sample: Sample, script: Script, costs: &'static [i64]) -> Case {
    Case { name: name.to_owned(), service, sample, script, costs }
}

fn post(service: Service, path: &str, body: Value) -> Sample {
    Sample { path: path.to_owned(), body, ..main_call(service, false) }
}

fn anthropic_cases() -> Vec<Case> {
    let buckets = Buckets {
        input: 103,
        cache_read: 2_003,
        cache_write: 401,
        cache_write_long: 307,
        output: 509,
        reasoning: 101,
        ..b()
    };
    let script = Script { units: Units { searches: 2, ..Units::default() }, ..Script::using(buckets) };
    // 103×2 + 2003×0.2 + 401×2.5 + 307×4 + 610×10, and two searches at 0.01
    let costs: &[i64] = &[28_937_100];
    // A tenth more for the tokens, and nothing more for the searches.
    let regional = Script { region: Some("us".to_owned()), ..script.clone() };
    let regional_costs: &[i64] = &[29_830_810];
    [("anthropic", script, costs), ("anthropic-us", regional, regional_costs)]
        .into_iter()
        .flat_map(|(name, script, costs)| {
            [("unary", false), ("stream", true)].map(|(form, stream)| {
                let sample = main_call(Service::Anthropic, stream);
                case(&format!("{name}-{form}"), Service::Anthropic, sample, script.clone(), costs)
            })
        })
        .collect()
}

fn openai_cases() -> Vec<Case> {
    let service = Service::OpenAi;
    let whole = Buckets { input: 101, cache_read: 1_009, output: 211, reasoning: 307, ..b() };
    let responses =
        |stream: bool| post(service, "/v1/responses", json!({"model": "gpt-5.4", "input": "Hi", "stream": stream}));
    let flex = Script { tier: Some("flex".to_owned()), ..Script::using(whole) };
    let long = Script::using(Buckets { input: 272_001, output: 7, ..b() });
    let picture = Buckets { input: 11, image_input: 223, image_output: 331, ..b() };
    let image = json!({"model": "chatgpt-image-latest", "prompt": "Hi"});
    vec![
        case("openai-responses", service, responses(false), Script::using(whole), &[8_274_750]),
        case("openai-responses-stream", service, responses(true), Script::using(whole), &[8_274_750]),
        // half of it
        case("openai-flex", service, responses(false), flex, &[4_137_375]),
        // beyond 272K the whole call costs twice in and one and a half times out: 272001×5 + 7×22.5
        case("openai-long", service, main_call(service, false), long, &[1_360_162_500]),
        // 997×0.13
        case(
            "openai-embeddings",
            service,
            post(service, "/v1/embeddings", json!({"model": "text-embedding-3-large", "input": "Hi"})),
            Script::using(Buckets { input: 997, ..b() }),
            &[129_610],
        ),
        // 11×5 + 223×10 + 331×40
        case(
            "openai-image",
            service,
            post(service, "/v1/images/generations", image),
            Script::using(picture),
            &[15_525_000],
        ),
    ]
}

/// Name, model, what is reported, the tools used, what a second model used, the costs in nano-dollars.
type ToolRow = (&'static str, &'static str, Buckets, Units, Buckets, &'static [i64]);

fn openai_tool_cases() -> Vec<Case> {
    let service = Service::OpenAi;
    let whole = Buckets { input: 101, cache_read: 1_009, output: 211, reasoning: 307, ..b() };
    let plain = Buckets { input: 101, output: 13, ..b() };
    let rows: [ToolRow; 4] = [
        // 8 274 750 of tokens, two searches at 0.01 and three in files at 0.0025
        ("tools", "gpt-5.4", whole, Units { searches: 2, file_searches: 3, ..Units::default() }, b(), &[35_774_750]),
        // 101×2.5 + 13×10, and a search at 0.025: the older tool with a model that does not reason
        ("preview", "gpt-4o", plain, Units { preview_searches: 1, ..Units::default() }, b(), &[25_382_500]),
        // 101×2.5 + 13×15, and a search at 0.01: the older tool with a model that reasons
        ("preview-reasoning", "gpt-5.4", plain, Units { preview_searches: 1, ..Units::default() }, b(), &[10_447_500]),
        // 101×2.5 + 13×15, and the picture at its own model's price: 17×5 + 7×10 + 272×40
        (
            "picture",
            "gpt-5.4",
            plain,
            Units { images: 1, ..Units::default() },
            Buckets { input: 17, image_input: 7, image_output: 272, ..b() },
            &[447_500 + 11_035_000],
        ),
    ];
    let mut cases = Vec::new();
    for (name, model, buckets, units, aside, costs) in rows {
        let script = Script { units, aside, ..Script::using(buckets) };
        for (form, stream) in [("unary", false), ("stream", true)] {
            let sample = post(service, "/v1/responses", json!({"model": model, "input": "Hi", "stream": stream}));
            cases.push(case(&format!("openai-{name}-{form}"), service, sample, script.clone(), costs));
        }
    }
    let chat = main_call(service, false).with("model", json!("gpt-5-search-api"));
    let speech = json!({"model": "tts-1", "input": "Grüße", "voice": "alloy"});
    // 101×1.25 + 13×10, and the search that every call makes
    cases.push(case("openai-search-chat", service, chat, Script::using(plain), &[10_256_250]));
    // five characters at 15 for a million
    cases.push(case(
        "openai-speech",
        service,
        post(service, "/v1/audio/speech", speech),
        Script::using(b()),
        &[75_000],
    ));
    cases
}

fn other_cases() -> Vec<Case> {
    let gemini = Buckets { input: 107, cache_read: 1_013, output: 223, reasoning: 331, ..b() };
    let array = Sample {
        path: "/v1beta/models/gemini-3.5-flash:streamGenerateContent".to_owned(),
        ..main_call(Service::Gemini, true)
    };
    let nova = Buckets { input: 113, output: 229, ..b() };
    let invoke = |verb: &str| Sample {
        path: format!("/model/amazon.nova-pro-v1:0/{verb}"),
        ..main_call(Service::Bedrock, false)
    };
    let rerank = json!({"model": "rerank-v3.5", "query": "q", "documents": ["a"]});
    let searched = Script { units: Units { searches: 3, ..Units::default() }, ..Script::using(b()) };
    let spoken = Script { units: Units { characters: 42, ..Units::default() }, ..Script::using(b()) };
    let grounded = Script { units: Units { searches: 2, ..Units::default() }, ..Script::using(gemini) };
    let older = Sample {
        path: "/v1beta/models/gemini-2.5-flash:generateContent".to_owned(),
        ..main_call(Service::Gemini, false)
    };
    let mut waited = post(Service::Replicate, HAIKU, json!({"input": {"prompt": "Hi"}}));
    waited.headers.push(("prefer", "wait"));
    vec![
        // two searches at 0.014 with newer models, one fee of 0.035 with older ones: 107×0.3 + 1013×0.03 + 554×2.5
        case("gemini-grounded", Service::Gemini, main_call(Service::Gemini, false), grounded.clone(), &[33_298_450]),
        case(
            "gemini-grounded-stream",
            Service::Gemini,
            main_call(Service::Gemini, true),
            grounded.clone(),
            &[33_298_450],
        ),
        case("gemini-grounded-older", Service::Gemini, older, grounded, &[36_447_490]),
        // 100×1 + 20×5
        case(
            "replicate-waited",
            Service::Replicate,
            waited,
            Script::using(Buckets { input: 100, output: 20, ..b() }),
            &[200_000],
        ),
        case("gemini-array", Service::Gemini, array, Script::using(gemini), &[5_298_450]),
        // 113×0.8 + 229×3.2, from the headers and from the frames
        case("bedrock-invoke", Service::Bedrock, invoke("invoke"), Script::using(nova), &[823_200]),
        case(
            "bedrock-invoke-stream",
            Service::Bedrock,
            invoke("invoke-with-response-stream"),
            Script::using(nova),
            &[823_200],
        ),
        // three searches at 0.002
        case("cohere-rerank", Service::Cohere, post(Service::Cohere, "/v2/rerank", rerank), searched, &[6_000_000]),
        // 42 characters at 0.18 for a thousand
        case("elevenlabs", Service::ElevenLabs, main_call(Service::ElevenLabs, false), spoken, &[7_560_000]),
    ]
}

/// What was recorded of a key's calls: the buckets and the cost in nano-USD. The API's row must tell the same.
fn recorded(world: &World, name: &str) -> (Buckets, i64) {
    let row = world.usage_of(name, 1);
    let totals = world.totals(name);
    let count = |column: &str| totals[column].as_u64().unwrap_or_else(|| panic!("no {column} in {totals}"));
    let buckets = Buckets {
        input: count("input"),
        cache_read: count("cache_read"),
        cache_write: count("cache_write"),
        cache_write_long: count("cache_write_long"),
        output: count("output"),
        reasoning: count("reasoning"),
        audio_input: count("audio_input"),
        audio_output: count("audio_output"),
        image_input: count("image_input"),
        image_output: count("image_output"),
    };
    let told = ["input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"];
    let told = told.map(|field| row[field].as_u64().unwrap_or_else(|| panic!("no {field} in {row}")));
    let written = buckets.cache_write + buckets.cache_write_long;
    assert_eq!(told, [buckets.input, buckets.cache_read, written, buckets.output, buckets.reasoning], "{name}: {row}");
    let cost = totals["cost"].as_i64().expect("a cost");
    assert_eq!(row["cost_nano_usd"].as_i64(), Some(cost), "{name}: {row}");
    (buckets, cost)
}

#[test]
fn buckets_and_cost_are_the_truth_for_every_provider() {
    let cases = cases();
    let mut services: Vec<Service> = cases.iter().map(|case| case.service).collect();
    services.sort_unstable();
    services.dedup();
    let world = World::with(&services);
    let secrets: Vec<(Service, String)> = services
        .iter()
        .map(|service| (*service, world.credential(*service, service.id(), Script::default())))
        .collect();
    for case in &cases {
        let secret = secrets.iter().find(|(service, _)| *service == case.service).map(|(_, secret)| secret);
        world.emulator(case.service).script(secret.expect("every service has a credential"), case.script.clone());
        let operations: Vec<&str> =
            world.provider(case.service).operations.iter().map(|operation| &*operation.name).collect();
        let key = world.key(&case.name, json!({"providers": [case.service.id()], "operations": operations}));
        assert_answered(&world.send(&world.sample(case.service, &case.sample, &key)));
    }
    let mut wrong = Vec::new();
    for case in &cases {
        let (buckets, cost) = recorded(&world, &case.name);
        let truth = case.script.buckets.plus(&case.script.aside);
        if buckets != truth {
            wrong.push(format!("{}: {buckets:?}\n    is not {truth:?}", case.name));
        }
        if !case.costs.contains(&cost) {
            wrong.push(format!("{}: costs {cost} nano-USD, not {:?}", case.name, case.costs));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn transcriptions_bill_by_tokens_or_by_time() {
    let world = World::with(&[Service::OpenAi]);
    let secret = world.credential(Service::OpenAi, "main", Script::default());
    let rows = [
        // 53×2.5 + 211×2.5 + 31×10
        ("gpt-4o-transcribe", Buckets { input: 53, audio_input: 211, output: 31, ..b() }, 0, 970_000),
        // 90 seconds at 0.006 a minute
        ("whisper-1", b(), 90_000, 9_000_000),
    ];
    for (model, buckets, millis, cost) in rows {
        let script = Script { units: Units { millis, ..Units::default() }, ..Script::using(buckets) };
        world.emulator(Service::OpenAi).script(&secret, script);
        let key = world.key(model, json!({"providers": ["openai"], "operations": ["audio"]}));
        let form: &[(&str, Option<&str>, &[u8])] =
            &[("model", None, model.as_bytes()), ("file", Some("a.wav"), b"RIFF")];
        let call = Request::new("POST", "/openai/v1/audio/transcriptions").bearer(&key).form(form);
        assert_answered(&world.send(&call));
        assert_eq!(recorded(&world, model), (buckets, cost), "{model}");
    }
}

#[test]
fn a_session_pays_its_own_model_and_the_one_that_writes_down() {
    let spoken = Buckets { input: 7, audio_input: 11, output: 13, audio_output: 17, ..b() };
    let written = Buckets { input: 3, audio_input: 211, output: 31, ..b() };
    let (world, _) = World::simple(Service::OpenAi, Script { aside: written, ..Script::using(spoken) });
    let key = world.key("talk", json!({"providers": ["openai"], "operations": ["realtime"]}));
    let mut talk = connections::socket(&world, "/openai/v1/realtime?model=gpt-realtime", &key);
    let transcription = json!({"model": "gpt-4o-transcribe", "language": "en"});
    let session = json!({"type": "realtime", "audio": {"input": {"transcription": transcription}}});
    connections::say(&mut talk, &json!({"type": "session.update", "session": session}));
    connections::hear_until(&mut talk, "session.updated");
    for _ in 0..2 {
        connections::say(&mut talk, &json!({"type": "input_audio_buffer.commit"}));
        connections::hear_until(&mut talk, "conversation.item.input_audio_transcription.completed");
        connections::say(&mut talk, &json!({"type": "response.create"}));
        connections::hear_until(&mut talk, "response.done");
    }
    talk.close(None).expect("a close");
    while talk.read().is_ok() {}
    let once = spoken.plus(&written);
    // Each time 7×4 + 11×32 + 13×16 + 17×64, and 3×2.5 + 211×2.5 + 31×10
    let each = 28_000 + 352_000 + 208_000 + 1_088_000 + 7_500 + 527_500 + 310_000;
    assert_eq!(recorded(&world, "talk"), (once.plus(&once), 2 * each));
    assert_eq!(world.totals("talk")["unpriced"], 0);
}

#[test]
fn what_has_no_price_is_said_to_be_missing() {
    let services = [Service::OpenAi, Service::Anthropic, Service::Replicate];
    let world = World::with(&services);
    let secrets = services.map(|service| (service, world.credential(service, service.id(), Script::default())));
    let runs = |buckets| Script { units: Units { code_runs: 1, ..Units::default() }, ..Script::using(buckets) };
    let plain = Buckets { input: 101, output: 13, ..b() };
    let responses = |stream: bool| json!({"model": "gpt-5.4", "input": "Hi", "stream": stream});
    let priority = Script { tier: Some("priority".to_owned()), ..Script::using(plain) };
    let prompt = json!({"input": {"prompt": "Hi"}});
    let rows = [
        // 101×2.5 + 13×15, and code whose container is billed by its time
        case(
            "code",
            Service::OpenAi,
            post(Service::OpenAi, "/v1/responses", responses(false)),
            runs(plain),
            &[447_500],
        ),
        case(
            "code-stream",
            Service::OpenAi,
            post(Service::OpenAi, "/v1/responses", responses(true)),
            runs(plain),
            &[447_500],
        ),
        // 101×2 + 13×10
        case("hours", Service::Anthropic, main_call(Service::Anthropic, true), runs(plain), &[332_000]),
        case("agreed", Service::Anthropic, main_call(Service::Anthropic, false), priority, &[332_000]),
        // What a prediction will use is not known when it is made.
        case("later", Service::Replicate, post(Service::Replicate, HAIKU, prompt), Script::using(b()), &[0]),
    ];
    for row in &rows {
        let (_, secret) = secrets.iter().find(|(service, _)| *service == row.service).expect("a credential");
        world.emulator(row.service).script(secret, row.script.clone());
        let key = world.key(&row.name, json!({"providers": [row.service.id()]}));
        assert_answered(&world.send(&world.sample(row.service, &row.sample, &key)));
        let (buckets, cost) = recorded(&world, &row.name);
        let totals = world.totals(&row.name);
        assert_eq!((buckets, cost), (row.script.buckets, row.costs[0]), "{}", row.name);
        assert_eq!((&totals["unpriced"], &totals["estimated"]), (&json!(1), &json!(0)), "{}", row.name);
    }
}

#[test]
fn usage_is_asked_for_only_where_the_provider_takes_it_and_hidden_where_the_client_did_not_ask() {
    let services = [Service::OpenAi, Service::DeepSeek, Service::Mistral, Service::Groq];
    let world = World::with(&services);
    for service in services {
        world.credential(service, service.id(), Script::default());
        let key = world.key(service.id(), json!({"providers": [service.id()]}));
        let answer = world.send(&world.call(service, true, &key));
        assert_answered(&answer);
        let asked = world.emulator(service).last().json();
        let injected = asked.pointer("/stream_options/include_usage") == Some(&json!(true));
        assert_eq!(injected, matches!(service, Service::OpenAi | Service::DeepSeek), "{service:?}: {asked}");
        if injected {
            assert!(!answer.text().contains("\"choices\":[]"), "{service:?} shows a chunk nobody asked for");
            assert!(!answer.text().contains("prompt_tokens"), "{service:?} shows usage nobody asked for");
        }
        assert!(answer.text().trim_end().ends_with("data: [DONE]"), "{service:?}");
        assert_eq!(recorded(&world, service.id()).0.output, 10);
    }
}

#[test]
fn the_answer_of_a_provider_that_goes_on_is_read_to_its_end() {
    let services = [Service::Gemini, Service::Bedrock];
    let world = World::with(&services);
    for service in services {
        let gate = Gate::new();
        let script = Script::using(Buckets { input: 1_000, output: 5_000, ..b() }).stopping_at(2, &gate);
        world.credential(service, service.id(), script);
        let key = world.key(service.id(), json!({"providers": [service.id()]}));
        let mut answer = world.open(&world.call(service, true, &key));
        answer.read_until("Hello");
        gate.wait_reached();
        drop(answer);
        gate.open();
        let (seen, _) = recorded(&world, service.id());
        assert_eq!((seen.all_input(), seen.all_output()), (1_000, 5_000), "{service:?}");
        assert_eq!(world.totals(service.id())["estimated"], 0, "{service:?}");
    }
}

#[test]
fn a_hang_up_is_estimated_and_never_free() {
    let services = [Service::OpenAi, Service::Anthropic, Service::Gemini, Service::Bedrock];
    let world = World::with(&services);
    for service in services {
        let gate = Gate::new();
        let script = Script::using(Buckets { input: 1_000, output: 5_000, ..b() }).stopping_at(2, &gate);
        world.credential(service, service.id(), script);
        let key = world.key(service.id(), json!({"providers": [service.id()], "on_hangup": "cancel"}));
        let mut answer = world.open(&world.call(service, true, &key));
        answer.read_until("Hello");
        gate.wait_reached();
        drop(answer);
        let (seen, cost) = recorded(&world, service.id());
        assert!(seen.all_output() > 0 && cost > 0, "{service:?}: {seen:?} {cost}");
        assert_eq!(world.totals(service.id())["estimated"], 1, "{service:?}: what is not known is marked");
        if matches!(service, Service::Anthropic | Service::Gemini) {
            // The input side was told before the cut.
            assert_eq!(seen.all_input(), 1_000, "{service:?}: {seen:?}");
        }
        gate.open();
    }
}
