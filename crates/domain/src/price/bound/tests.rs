use super::*;
use crate::price::{ClockRates, Fees, LengthStep, Rates, RegionRate, TierRates};

/// A dollar per million tokens: a thousand nano-dollars per token.
const DOLLAR: i64 = 1_000_000_000;

fn price() -> Price {
    Price {
        model: "m".into(),
        rates: Rates { input: Some(DOLLAR), output: Some(2 * DOLLAR), ..Rates::default() },
        context: Some(100_000),
        max_output: Some(1_000),
        ..Price::default()
    }
}

fn ask() -> Ask<'static> {
    Ask { bytes: 1_000, output: Output { text: true, capped: true, ..Output::default() }, ..Ask::default() }
}

fn of(price: &Price, ask: &Ask<'_>, cap: Option<u64>) -> Result<Bound, Unbounded> {
    Bound::of([price], ask, cap, 0)
}

fn nano(price: &Price, ask: &Ask<'_>, cap: u64) -> i64 {
    of(price, ask, Some(cap)).expect("a bound").hold(cap).nano()
}

const INPUT: i64 = (1_000 + FRAME as i64) * 1_000;

#[test]
fn a_plain_call_costs_its_bytes_and_its_cap() {
    let bound = of(&price(), &ask(), Some(10)).expect("a bound");
    assert_eq!((bound.cap, bound.max_output, bound.input), (Some(10), Some(1_000), 1_000 + FRAME));
    assert_eq!((bound.fixed().nano(), bound.whole().nano()), (INPUT, INPUT + 20_000));
    assert_eq!(of(&price(), &ask(), None).expect("a bound").cap, Some(1_000), "the model's own limit");
    assert_eq!(of(&price(), &ask(), Some(5_000)).expect("a bound").cap, Some(1_000), "no more than the model gives");
    let embeds = Ask { output: Output::default(), ..ask() };
    let bound = of(&price(), &embeds, None).expect("a bound");
    assert_eq!((bound.cap, bound.whole().nano(), bound.shrinks()), (None, INPUT, false));
}

#[test]
fn what_is_affordable_is_the_inverse_of_what_is_held() {
    for answers in [1, 3, 7] {
        let ask = Ask { answers, ..ask() };
        let bound = of(&price(), &ask, Some(90)).expect("a bound");
        let base = bound.fixed().nano();
        assert_eq!(bound.affordable(Money::from_nano(base - 1)), None);
        for left in (base..base + 200_000).step_by(333) {
            let left = Money::from_nano(left);
            let Some(cap) = bound.affordable(left) else {
                assert!(bound.hold(answers) > left, "one token for each answer would have fitted");
                continue;
            };
            assert!(bound.hold(cap) <= left && cap <= 90, "{cap}");
            assert!(cap == 90 || (cap % answers == 0 && bound.hold(cap + answers) > left), "{cap} is not the largest");
        }
    }
}

#[test]
fn a_cap_below_what_the_call_means_to_think_is_of_no_use() {
    let bound = Bound::of([&price()], &ask(), Some(500), 101).expect("a bound");
    assert_eq!(bound.affordable(bound.hold(101)), Some(101));
    assert_eq!(bound.affordable(bound.hold(100)), None);
    let endless = Ask { bytes: u64::MAX, unseen: 1, answers: u64::MAX, ..ask() };
    let bound = of(&price(), &endless, Some(u64::MAX)).expect("a bound");
    assert_eq!(bound.hold(u64::MAX).nano(), i64::MAX, "stops at the largest amount");
    assert_eq!(bound.affordable(Money::from_nano(i64::MAX)), None, "which nobody has");
}

#[test]
fn the_dearest_of_all_that_may_be_billed_is_taken() {
    let plain = nano(&price(), &ask(), 100);
    let with = |change: &dyn Fn(&mut Price)| {
        let mut price = price();
        change(&mut price);
        price
    };
    let double = || Rates { input: Some(2 * DOLLAR), output: Some(4 * DOLLAR), ..Rates::default() };
    let clock = with(&|price| {
        price.clock = vec![ClockRates { windows: vec![(0, 1)], days: vec![], rates: double() }];
    });
    assert_eq!(nano(&clock, &ask(), 100), 2 * plain, "a dear hour");
    let step = |above| with(&|price| price.steps = vec![LengthStep { above, rates: double() }]);
    assert_eq!(nano(&step(1_000 + FRAME - 1), &ask(), 100), 2 * plain, "a step that can be reached");
    assert_eq!(nano(&step(1_000 + FRAME), &ask(), 100), plain, "and one that cannot");
    let tiers = with(&|price| {
        price.tiers = vec![
            TierRates { tier: "priority".into(), rates: double(), steps: vec![] },
            TierRates {
                tier: "flex".into(),
                rates: Rates { input: Some(1), output: Some(1), ..Rates::default() },
                steps: vec![],
            },
        ];
    });
    assert_eq!(nano(&tiers, &ask(), 100), 2 * plain, "the provider may choose the tier");
    for (tier, cost) in [(Tiers::Base, plain), (Tiers::Named("flex"), plain), (Tiers::Named("priority"), 2 * plain)] {
        assert_eq!(nano(&tiers, &Ask { tier, ..ask() }, 100), cost, "{tier:?}");
    }
    let region = with(&|price| price.regions = vec![RegionRate { region: "us".into(), permille: 1_100 }]);
    assert_eq!(nano(&region, &ask(), 100), plain / 10 * 11);
    let reasons = with(&|price| price.rates.reasoning = Some(5 * DOLLAR));
    assert_eq!(nano(&reasons, &ask(), 100), INPUT + 500_000);
    let caches = with(&|price| price.rates.cache_write_long = Some(3 * DOLLAR));
    assert_eq!(nano(&caches, &Ask { cache_writes: true, ..ask() }, 0), 3 * INPUT);
    assert_eq!(nano(&caches, &ask(), 0), INPUT, "nothing asks for a cache");
    let dear = with(&|price| price.rates = double());
    let both = Bound::of([&price(), &dear], &ask(), Some(100), 0).expect("a bound");
    assert_eq!(both.whole().nano(), 2 * plain, "either model may answer");
}

#[test]
fn several_answers_multiply_the_output_and_not_the_input() {
    let ask = Ask { answers: 4, ..ask() };
    assert_eq!(of(&price(), &ask, None).expect("a bound").cap, Some(4_000));
    assert_eq!(nano(&price(), &ask, 400), INPUT + 800_000);
}

#[test]
fn what_is_not_seen_is_bounded_by_the_context_window() {
    let unseen = Ask { unseen: 2, ..ask() };
    let bound = of(&price(), &unseen, Some(0)).expect("a bound");
    assert_eq!(bound.input, 100_000);
    let embeds = Ask { apart: true, output: Output::default(), ..unseen.clone() };
    assert_eq!(of(&price(), &embeds, None).expect("a bound").input, 206_000 + FRAME, "each has its own window");
    let nowhere = Price { context: None, ..price() };
    assert_eq!(of(&nowhere, &unseen, Some(1)), Err(Unbounded::NoContext("m".into())));
    let mut pictures = price();
    pictures.rates.image_input = Some(4 * DOLLAR);
    assert_eq!(of(&pictures, &unseen, Some(0)).expect("a bound").fixed().nano(), 400_000_000);
}

#[test]
fn tools_bring_their_fees_and_turns() {
    let tool = |run, uses| Tool { name: "t", run, uses };
    let asks = |run, uses, calls, turns| Ask {
        tools: vec![tool(run, uses)],
        tool_calls: calls,
        turns,
        any_tools: true,
        ..ask()
    };
    let mut price = price();
    let no_fee = Err(Unbounded::NoFee { tool: "t".into(), model: "m".into() });
    assert_eq!(of(&price, &asks(Run::Search, Some(1), None, None), Some(1)), no_fee);
    assert_eq!(of(&price, &asks(Run::Unpriced, Some(1), None, None), Some(1)), no_fee);
    price.fees = Fees { search: Some(10_000_000), searching: Some(7), ..Fees::default() };
    let uncounted = of(&price, &asks(Run::Search, None, None, Some(9)), Some(1)).unwrap_err();
    assert!(matches!(uncounted, Unbounded::NoCount { field: "searches", .. }), "{uncounted}");
    // Three searches: four times the window, and four times the output that the cap allows.
    let bound = of(&price, &asks(Run::Search, Some(3), None, None), Some(10)).expect("a bound");
    assert_eq!(bound.whole().nano(), 4 * 100_000 * 1_000 + 4 * 20_000 + 3 * 10_000_000 + 7);
    assert_eq!(of(&price, &asks(Run::Search, Some(30), None, Some(2)), Some(1)).expect("a bound").input, 200_000);
    assert_eq!(of(&price, &asks(Run::Search, Some(30), Some(1), None), Some(1)).expect("a bound").input, 200_000);
    assert_eq!(of(&price, &asks(Run::Turn, None, Some(4), None), Some(1)).expect("a bound").input, 500_000);
    let endless = of(&price, &asks(Run::Turn, None, None, None), Some(1)).unwrap_err();
    assert!(matches!(endless, Unbounded::NoCount { field: "turns", .. }), "{endless}");
    price.most = Most { searches: Some(2), turns: Some(2), ..Most::default() };
    assert_eq!(of(&price, &asks(Run::Search, None, None, None), Some(1)).expect("a bound").input, 200_000);
    let provided = Ask { provided_tools: 2, any_tools: true, ..ask() };
    assert_eq!(of(&price, &provided, Some(1)).expect("a bound").input, 1_000 + FRAME + TOOLS_FRAME + 2 * PROVIDED_TOOL);
}

#[test]
fn output_that_no_cap_bounds_is_held_whole() {
    let fixed = |output: Output| {
        let ask = Ask { output, ..ask() };
        of(&price(), &ask, Some(10)).map(|bound| (bound.fixed().nano() - INPUT, bound.cap))
    };
    let text = Output { text: true, ..Output::default() };
    assert_eq!(fixed(text), Ok((2_000_000, None)), "nowhere to put a cap");
    assert_eq!(fixed(Output { capped: true, reasoning_beside: true, ..text }), Ok((2_000_000, Some(10))));
    let endless = Price { max_output: None, ..price() };
    assert_eq!(of(&endless, &ask(), None), Err(Unbounded::NoOutputLimit("m".into())));
    assert!(of(&endless, &ask(), Some(10)).is_ok(), "the request's cap will do");
    assert!(of(&endless, &Ask { output: text, ..ask() }, Some(10)).is_err());
    let mut paints = price();
    paints.rates.image_output = Some(3 * DOLLAR);
    let output = Output { capped: true, pictures: true, ..text };
    let bound = of(&paints, &Ask { output, ..ask() }, Some(10)).expect("a bound");
    assert_eq!(bound.fixed().nano(), INPUT + 3_000_000, "a picture is made whole");
    let predicts = Ask { predicted: 50, answers: 2, ..ask() };
    assert_eq!(nano(&price(), &predicts, 0), INPUT + 200_000);
}

#[test]
fn what_is_billed_apart_from_tokens_needs_a_number() {
    let mut price = price();
    price.fees = Fees {
        request: Some(5),
        second: Some(2),
        page: Some(3),
        million_characters: Some(1_000_000_000),
        image: Some(11),
        ..Fees::default()
    };
    let none = Ask { output: Output::default(), ..ask() };
    assert_eq!(of(&price, &none, None).expect("a bound").whole().nano(), INPUT + 5);
    for ask in [
        Ask { seconds: Count::Untold, ..none.clone() },
        Ask { pages: Count::Untold, ..none.clone() },
        Ask { characters: Count::Untold, ..none.clone() },
    ] {
        assert!(matches!(of(&price, &ask, None), Err(Unbounded::NoCount { .. })), "{ask:?}");
    }
    price.most = Most { seconds: Some(100), pages: Some(10), ..Most::default() };
    let all = Ask {
        seconds: Count::Untold,
        pages: Count::Untold,
        characters: Count::Most(7),
        pictures: 2,
        makes_pictures: true,
        ..none.clone()
    };
    assert_eq!(of(&price, &all, None).expect("a bound").whole().nano(), INPUT + 5 + 200 + 30 + 7_000 + 22);
    let free = Price { rates: Rates { input: Some(1), ..Rates::default() }, fees: Fees::default(), ..price };
    for ask in [Ask { makes_pictures: true, ..none.clone() }, Ask { searches: Count::Untold, ..none }] {
        assert!(matches!(of(&free, &ask, None), Err(Unbounded::NoFee { .. })), "{ask:?}");
    }
}

#[test]
fn a_refusal_says_how_to_price_it() {
    let told = Unbounded::NoPrice("gpt-9".into()).to_string();
    assert!(told.contains("gpt-9") && told.contains("prices/"), "{told}");
    assert!(Unbounded::NoOutputLimit("m".into()).to_string().contains("default_output_tokens"));
}

/// A model with room for long answers, at two thousand nano-dollars for a token of output.
fn large(max_output: u64) -> Price {
    Price { context: Some(1_000_000), max_output: Some(max_output), ..price() }
}

fn unasked(price: &Price, ask: &Ask<'_>, left: i64) -> u64 {
    let bound = of(price, ask, None).expect("a bound");
    let cap = bound.unasked(Money::from_nano(left)).expect("a cap");
    assert!(bound.cap.is_some_and(|wanted| cap <= wanted), "never above what the model gives");
    assert_eq!(cap % bound.answers.max(1), 0);
    cap
}

#[test]
fn a_call_without_a_cap_gets_what_is_easily_paid_and_not_too_little() {
    let (small, whole) = (large(32_768), 32_768 * 2_000 * 100);
    for (left, cap) in [
        (i64::MAX, 32_768),
        (whole, 32_768),
        (whole - 200_000, 32_767),
        (whole / 2, 16_384),
        (whole / 8, 4_096),
        (whole / 9, 4_096),
        (1, 4_096),
        (0, 4_096),
    ] {
        assert_eq!(unasked(&small, &ask(), left), cap, "{left}");
    }
    assert_eq!(unasked(&large(128_000), &ask(), 0), 16_000, "who can give much thinks much");
    assert_eq!(unasked(&large(1_000), &ask(), 0), 1_000, "a model that gives less");
    let two = Ask { answers: 2, ..ask() };
    assert_eq!(unasked(&small, &two, 0), 8_192, "for each answer");
    assert_eq!(unasked(&small, &two, i64::MAX), 65_536);
    let thinks = Bound::of([&small], &ask(), None, 10_001).expect("a bound");
    assert_eq!(thinks.unasked(Money::ZERO), Some(14_096), "and what it wants to think");
    let limited = of(&small, &ask(), Some(100)).expect("a bound");
    assert_eq!(limited.unasked(Money::from_nano(i64::MAX)), Some(100), "a policy's limit");
    let embeds = Ask { output: Output::default(), ..ask() };
    assert_eq!(of(&small, &embeds, None).expect("a bound").unasked(Money::ZERO), None, "nothing to cap");
}

#[test]
fn prompt_and_answer_have_room_in_the_window() {
    let tight = Price { context: Some(10_000), max_output: Some(10_000), ..price() };
    let of_bytes = |bytes: u64| unasked(&tight, &Ask { bytes, ..ask() }, i64::MAX);
    assert_eq!(of_bytes(1_000), 10_000 - 1_000 - FRAME);
    assert_eq!(of_bytes(9_000), 5_000, "its tokens are fewer than its bytes");
    assert_eq!(of_bytes(90_000), 5_000);
}

#[test]
fn when_even_that_is_short_half_is_left_for_another_call() {
    let bound = of(&large(32_768), &ask(), None).expect("a bound");
    let paying = |cap| bound.hold(cap);
    let half_of = |cap| Money::from_nano(paying(cap).nano() * 2);
    assert_eq!(bound.unasked_when_short(half_of(2_000)), Some(2_000));
    assert_eq!(bound.unasked_when_short(half_of(513)), Some(513));
    assert!(bound.unasked_when_short(half_of(512)).is_some_and(|cap| cap > 1_024), "half of it is too short: all");
    assert_eq!(bound.unasked_when_short(paying(1)), Some(1));
    assert_eq!(bound.unasked_when_short(paying(0)), None);
    for left in (0..40_000_000).step_by(77_777) {
        let left = Money::from_nano(left);
        let cap = bound.unasked_when_short(left);
        assert_eq!(cap.is_some(), bound.affordable(left).is_some(), "refused only where nothing can be paid");
        assert!(cap.is_none_or(|cap| bound.hold(cap) <= left));
    }
}
