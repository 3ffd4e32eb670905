//! What is kept of a call: every field, in the row of its own, in the sums by hour and by day, for as long as the settings
//! say; and nothing of what was asked or answered.

use crate::world::{PROJECT, World, assert_answered, eventually};
use keyward_domain::usage::Buckets;
use keyward_testkit::{Script, Service, calls::main_call, cli::Run, random, server::Options, wire::Request};
use serde_json::{Value, json};
use std::process::Command;

fn sql(world: &World, statement: &str) -> Vec<Value> {
    let mut command = Command::new("sqlite3");
    command.args(["-json", "-cmd", ".timeout 10000"]).arg(world.server.data().join("keyward.db")).arg(statement);
    let run = Run::of(command, b"").ok();
    if run.stdout.trim().is_empty() { Vec::new() } else { run.json().as_array().expect("rows").clone() }
}

/// The days whose single calls are kept, as their tables are named.
fn days(world: &World) -> Vec<String> {
    let tables = sql(world, "select name from sqlite_master where name like 'usage_raw_%' order by name");
    tables.iter().filter_map(|row| row["name"].as_str().map(str::to_owned)).collect()
}

/// A key's single calls, as the client gets them.
fn calls(world: &World, key: &str) -> Vec<Value> {
    let page = world.server.api("GET", &format!("/api/v1/keys/{key}/calls"), None).json();
    page["items"].as_array().expect("calls").clone()
}

#[test]
fn every_field_of_a_call_is_kept_and_none_of_its_words() {
    let options = Options { arguments: vec!["--trusted-proxy".into(), "127.0.0.0/8".into()], ..Options::default() };
    let world = World::with_options(&[Service::OpenAi], options);
    let answer = random::text(random::ALNUM, 40);
    let script = Script {
        text: answer.clone(),
        tier: Some("flex".to_owned()),
        ..Script::using(Buckets { input: 101, cache_read: 1_009, output: 211, reasoning: 307, ..Buckets::default() })
    };
    world.credential(Service::OpenAi, "main", script);
    let key = world.key("web", json!({"providers": ["openai"]}));
    let prompt = random::text(random::ALNUM, 40);
    let messages = json!([{"role": "user", "content": prompt}]);
    let call = main_call(Service::OpenAi, true).with("messages", messages);
    let call = world.sample(Service::OpenAi, &call, &key).header("user-agent", "shop/1.0 (test)");
    assert_answered(&world.send(&call.header("x-forwarded-for", "2001:db8::7")));
    world.usage_of("web", 1);

    let [day] = &days(&world)[..] else { panic!("one day: {:?}", days(&world)) };
    let rows = sql(
        &world,
        &format!(
            "select r.at, r.cost, k.name key, p.name project, s.environment, s.provider, s.model, s.operation, \
             c.name credential from {day} r join usage_series s on s.id = r.series join keys k on k.id = s.key_id \
             join projects p on p.id = s.project_id join credentials c on c.id = s.credential_id"
        ),
    );
    let [row] = &rows[..] else { panic!("one call is one row: {rows:?}") };
    let expected = json!({
        "key": "web", "project": PROJECT, "environment": "production", "provider": "openai",
        "model": Service::OpenAi.model(), "operation": "chat", "credential": "main",
        // Half of 101×2.5 + 1009×0.25 + 518×15
        "cost": 4_137_375,
    });
    for (field, value) in expected.as_object().expect("fields") {
        assert_eq!(&row[field], value, "{field}: {row}");
    }
    let at = row["at"].as_i64().expect("a time");
    assert!(at > 1_700_000_000_000, "{row}");
    let call = &calls(&world, "web")[0];
    let expected = json!({
        "environment": "production", "provider": "openai", "model": Service::OpenAi.model(), "operation": "chat",
        "input_tokens": 101, "cache_read_tokens": 1_009, "cache_write_tokens": 0, "output_tokens": 211,
        "reasoning_tokens": 307, "audio_tokens": 0, "image_tokens": 0, "cost_nano_usd": 4_137_375,
        "held_nano_usd": null, "tier": "flex", "region": null, "status": 200, "outcome": "completed", "basis": "priced",
        "client": "2001:db8::7", "user_agent": "shop/1.0 (test)", "secret_slot": 0, "upstream_id": "chatcmpl-emulated",
    });
    for (field, value) in expected.as_object().expect("fields") {
        assert_eq!(&call[field], value, "{field}: {call}");
    }
    let number = |field: &str| call[field].as_f64().unwrap_or_else(|| panic!("no {field}: {call}"));
    assert!(0.0 < number("first_byte_ms") && number("first_byte_ms") <= number("total_ms"), "{call}");
    let prices = call["price_version"].as_str().expect("a price list");
    assert!(prices.starts_with("20") && prices.len() >= 10, "the price list's version: {prices}");

    // The same in the sums by hour and by day.
    for table in ["usage_hourly", "usage_daily"] {
        let sums = sql(&world, &format!("select * from {table}"));
        let [sums] = &sums[..] else { panic!("{table}: {sums:?}") };
        for field in ["input", "cache_read", "output", "reasoning"] {
            assert_eq!(sums[field], call[format!("{field}_tokens")], "{table}.{field}: {sums}");
        }
        assert_eq!(sums["cost"], row["cost"], "{table}: {sums}");
        for field in ["first_byte", "total"] {
            let millis = sums[format!("{field}_us")].as_f64().map(|micros| micros / 1_000.0);
            assert_eq!(millis, call[format!("{field}_ms")].as_f64(), "{table}.{field}: {sums}");
        }
        assert_eq!((&sums["requests"], &sums["errors"]), (&json!(1), &json!(0)));
        let whole = if table == "usage_hourly" { 3_600_000 } else { 86_400_000 };
        let bucket = sums["bucket"].as_i64().expect("a bucket");
        assert!(bucket % whole == 0 && (bucket..bucket + whole).contains(&at), "{table}: {sums}");
    }

    // Neither question nor answer is anywhere.
    let canary = keyward_testkit::canary::Canary::new([prompt.as_str(), answer.as_str()]);
    let (finds, files) = canary.seen_in_folder(world.server.folder());
    assert!(files > 5 && finds.is_empty(), "{}", finds.join("\n"));
}

#[test]
fn a_call_that_went_wrong_is_kept_with_its_status() {
    let (world, _) = World::simple(Service::OpenAi, Script::raw(418, "application/json", "{}"));
    let key = world.key("short", json!({"providers": ["openai"]}));
    let long = "a".repeat(300);
    let call = world.call(Service::OpenAi, false, &key).header("user-agent", &long);
    assert_eq!(world.send(&call).status, 418);
    world.usage_of("short", 1);
    let [call] = &calls(&world, "short")[..] else { panic!("one call") };
    assert_eq!(
        (&call["status"], &call["outcome"], &call["cost_nano_usd"]),
        (&json!(418), &json!("provider_error"), &json!(0))
    );
    assert_eq!((&call["user_agent"], &call["client"]), (&json!(long[..200]), &json!("127.0.0.1")));
    // What Keyward itself refused was no call.
    assert_eq!(world.send(&Request::get("/openai/v1/models").bearer("sk-x")).status, 401);
    assert_eq!(world.usage("key").len(), 1);
}

#[test]
fn single_calls_are_kept_as_long_as_said_and_sums_stay() {
    let options = Options { arguments: vec!["--retention-days".into(), "30".into()], ..Options::default() };
    let mut world = World::with_options(&[Service::OpenAi], options);
    world.credential(Service::OpenAi, "main", Script::default());
    let key = world.key("web", json!({"providers": ["openai"]}));
    assert_answered(&world.send(&world.call(Service::OpenAi, false, &key)));
    world.usage_of("web", 1);
    assert!(world.server.stop().success());
    // Two older days, as if the server had run then: one within the thirty, one before.
    let made = sql(
        &world,
        "insert into usage_days select day - 20 * 86400000 from usage_days; \
             insert into usage_days select max(day) - 40 * 86400000 from usage_days; \
             insert into usage_daily select bucket - 40 * 86400000, series, requests, errors, input, cache_read, \
             cache_write, cache_write_long, output, reasoning, audio_input, audio_output, image_input, image_output, \
             searches, millis, characters, images, pages, cost, estimated, unpriced, first_byte_us, total_us \
             from usage_daily; \
             select strftime('%Y%m%d', day / 1000, 'unixepoch') name from usage_days order by day",
    );
    let names: Vec<&str> = made.iter().filter_map(|row| row["name"].as_str()).collect();
    let [old, recent, now] = names[..] else { panic!("three days: {made:?}") };
    for name in [old, recent] {
        let schema = sql(&world, &format!("select sql from sqlite_master where name = 'usage_raw_{now}'"));
        let schema = schema[0]["sql"].as_str().expect("the table's own text").replace(now, name);
        sql(&world, &format!("{schema}; insert into usage_raw_{name} select * from usage_raw_{now}"));
    }
    world.server.launch();
    eventually("the old day to go", || {
        (days(&world) == [format!("usage_raw_{recent}"), format!("usage_raw_{now}")]).then_some(())
    });
    assert_eq!(sql(&world, "select count(*) n from usage_days")[0]["n"], 2);
    let year = world.server.api("GET", "/api/v1/usage?by=day&since=365d", None).json();
    assert_eq!(year["rows"].as_array().map(Vec::len), Some(2), "the sums of the old day stay: {year}");
    let audit = world.server.api("GET", "/api/v1/audit?limit=20", None).json();
    assert!(audit["items"].as_array().expect("rows").iter().any(|row| row["action"] == "usage.retention"), "{audit}");
}
