//! Prices that come with the program: rows that were checked by hand against their sources, and the modifiers.

use keyward_catalogue::{Catalogue, check, summary};
use keyward_domain::{
    Money,
    price::{Price, Rates},
    usage::{Buckets, Units, Usage},
};
use std::{collections::BTreeSet, fs, path::PathBuf};

/// Saturday, 2026-11-21 12:00 UTC.
const NOW: i64 = 1_795_262_400_000;
const DAY: i64 = 86_400_000;

fn catalogue() -> Catalogue {
    Catalogue::embedded().expect("the embedded files are right")
}

fn price<'c>(catalogue: &'c Catalogue, provider: &str, model: &str) -> &'c Price {
    catalogue.prices().find(provider, model, NOW).unwrap_or_else(|| panic!("{provider} {model} has no price"))
}

/// Dollars per million tokens, in millionths of a dollar, as nano-USD.
fn per_million(micro_usd: i64) -> Option<i64> {
    Some(micro_usd * 1_000)
}

#[test]
fn every_file_passes_the_check_that_operators_use() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("prices");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let told: Vec<_> = check::file(&path).unwrap().iter().map(ToString::to_string).collect();
        assert!(told.is_empty(), "{}:\n{}", path.display(), told.join("\n"));
    }
}

#[test]
fn rows_checked_by_hand_against_their_sources_are_exact() {
    let catalogue = catalogue();
    // Provider, model, then input, output and cached input in millionths of a dollar per million tokens.
    for (provider, model, input, output, cached) in [
        ("openai", "gpt-5.4", 2_500_000, Some(15_000_000), Some(250_000)),
        ("anthropic", "claude-haiku-4-5", 1_000_000, Some(5_000_000), Some(100_000)),
        ("gemini", "gemini-2.5-pro", 1_250_000, Some(10_000_000), Some(125_000)),
        ("openai", "text-embedding-3-large", 130_000, None, None),
        ("groq", "openai/gpt-oss-120b", 150_000, Some(600_000), Some(75_000)),
        ("cohere", "command-r7b-12-2024", 37_500, Some(150_000), None),
        ("anthropic", "claude-opus-5", 5_000_000, Some(25_000_000), Some(500_000)),
        ("mistral", "mistral-large-2512", 500_000, Some(1_500_000), Some(50_000)),
        ("fireworks", "accounts/fireworks/models/kimi-k2p6", 950_000, Some(4_000_000), Some(160_000)),
        ("together", "moonshotai/Kimi-K2.6", 1_200_000, Some(4_500_000), Some(200_000)),
        ("openrouter", "openai/gpt-5.4", 2_500_000, Some(15_000_000), Some(250_000)),
        ("bedrock", "amazon.nova-pro-v1:0", 800_000, Some(3_200_000), Some(200_000)),
        ("azure-openai", "gpt-5.5", 5_000_000, Some(30_000_000), Some(500_000)),
        ("perplexity", "sonar-deep-research", 2_000_000, Some(8_000_000), None),
        ("xai", "grok-4.3", 1_250_000, Some(2_500_000), Some(200_000)),
        ("huggingface", "zai-org/GLM-5.2", 1_400_000, Some(4_400_000), None),
        ("gemini", "gemini-3.1-flash-lite", 250_000, Some(1_500_000), Some(25_000)),
    ] {
        let rates = &price(&catalogue, provider, model).rates;
        assert_eq!(rates.input, per_million(input), "{provider} {model}");
        assert_eq!(rates.output, output.and_then(per_million), "{provider} {model}");
        assert_eq!(rates.cache_read, cached.and_then(per_million), "{provider} {model}");
    }
    assert_eq!(price(&catalogue, "openai", "whisper-1").fees.second, Some(100_000), "0.006 USD a minute");
    assert_eq!(price(&catalogue, "perplexity", "sonar-deep-research").rates.reasoning, per_million(3_000_000));
}

#[test]
fn cache_writes_have_their_lifetimes() {
    let catalogue = catalogue();
    let rates = &price(&catalogue, "anthropic", "claude-haiku-4-5-20251001").rates;
    assert_eq!((rates.cache_write, rates.cache_write_long), (per_million(1_250_000), per_million(2_000_000)));
    let usage = Usage {
        buckets: Buckets {
            input: 25,
            cache_read: 2000,
            cache_write: 500,
            cache_write_long: 1000,
            output: 115,
            ..Buckets::default()
        },
        units: Units { searches: 2, ..Units::default() },
        ..Usage::default()
    };
    let cost = price(&catalogue, "anthropic", "claude-haiku-4-5").cost(&usage, NOW);
    let tokens = 25 * 1_000 + 2_000 * 100 + 500 * 1_250 + 1_000 * 2_000 + 115 * 5_000;
    assert_eq!(cost, Money::from_nano(tokens + 2 * 10_000_000));
}

#[test]
fn long_prompts_raise_the_whole_call_and_tiers_scale_the_step() {
    let catalogue = catalogue();
    let gpt = price(&catalogue, "openai", "gpt-5.4-2026-03-05");
    let long = Rates {
        input: per_million(5_000_000),
        cache_read: per_million(500_000),
        output: per_million(22_500_000),
        ..Rates::default()
    };
    assert_eq!(gpt.rates_for(272_000, None, NOW), gpt.rates);
    assert_eq!(gpt.rates_for(272_001, None, NOW), long);
    let flex = gpt.rates_for(272_001, Some("flex"), NOW);
    assert_eq!((flex.input, flex.output), (per_million(2_500_000), per_million(11_250_000)));
    assert_eq!(gpt.rates_for(1, Some("priority"), NOW), gpt.rates_for(1, Some("fast"), NOW));
    assert_eq!(gpt.rates_for(1, Some("priority"), NOW).cache_read, per_million(500_000));
    let fast = price(&catalogue, "anthropic", "claude-opus-5").rates_for(1, Some("fast"), NOW);
    assert_eq!((fast.input, fast.output), (per_million(10_000_000), per_million(50_000_000)));
}

#[test]
fn deepseek_is_dearer_at_its_peak_hours_on_weekdays() {
    let catalogue = catalogue();
    let deepseek = price(&catalogue, "deepseek", "deepseek-v4-flash");
    let friday = NOW - DAY;
    let at = |hour: i64, day: i64| deepseek.rates_for(1, None, day - 12 * 3_600_000 + hour * 3_600_000).input;
    assert_eq!(at(1, friday), per_million(300_000));
    assert_eq!(at(6, friday), per_million(300_000));
    for (hour, day) in [(0, friday), (4, friday), (10, friday), (1, NOW), (6, NOW)] {
        assert_eq!(at(hour, day), per_million(150_000), "hour {hour}");
    }
}

#[test]
fn promotions_and_announced_rises_have_their_days() {
    let catalogue = catalogue();
    let input =
        |provider: &str, model: &str, at: i64| catalogue.prices().find(provider, model, at).unwrap().rates.input;
    assert_eq!(input("openai", "gpt-5.6-sol", NOW), per_million(4_000_000));
    assert_eq!(input("openai", "gpt-5.6", NOW + DAY), per_million(5_000_000));
    assert_eq!(input("gemini", "gemini-3.8-flash", NOW), per_million(750_000));
    assert_eq!(input("gemini", "gemini-3.8-flash", NOW + 41 * DAY), per_million(1_500_000));
}

#[test]
fn sound_pictures_seconds_characters_and_searches_have_prices() {
    let catalogue = catalogue();
    let realtime = &price(&catalogue, "openai", "gpt-realtime-2").rates;
    assert_eq!((realtime.audio_input, realtime.audio_output), (per_million(32_000_000), per_million(64_000_000)));
    assert_eq!(realtime.image_input, per_million(5_000_000));
    let image = &price(&catalogue, "gemini", "gemini-3-pro-image").rates;
    assert_eq!(image.output, per_million(12_000_000), "text");
    assert!(image.image_output > image.output);
    assert_eq!(price(&catalogue, "openai", "tts-1").fees.million_characters, per_million(15_000_000));
    assert_eq!(price(&catalogue, "cohere", "rerank-v3.5").fees.search, Some(2_000_000));
    assert_eq!(
        price(&catalogue, "perplexity", "sonar-pro").fees.request,
        Some(14_000_000),
        "the dearest search context"
    );
}

#[test]
fn every_price_belongs_to_a_provider_and_has_a_source_and_a_day() {
    let catalogue = catalogue();
    let mut priced = BTreeSet::new();
    for price in catalogue.prices().all() {
        let name = format!("{} {}", price.provider, price.model);
        assert!(catalogue.provider(&price.provider).is_some(), "{name}: unknown provider");
        assert!(!price.source.is_empty() && price.as_of.len() == 10, "{name}: no source");
        priced.insert(price.provider.clone());
    }
    for provider in catalogue.providers().iter().filter(|provider| &*provider.id != "compatible") {
        assert!(priced.contains(&provider.id), "{} has no prices", provider.id);
    }
    assert!(catalogue.prices().version.starts_with("2026-11-21."), "{}", catalogue.prices().version);
    assert!(summary::prices(&catalogue, None, None, NOW).count() > 600);
}
