//! An emulator for people and scripts: prints its URL and a generated key as one line of JSON, then serves until it
//! is stopped.
//!
//! `cargo run -p keyward-testkit --bin emulator -- --provider openai [--listen 127.0.0.1:9100] [--state live]`

use keyward_testkit::{Emulator, Service, State};
use serde_json::json;
use std::{net::SocketAddr, process::ExitCode};

const USAGE: &str = "usage: emulator --provider ID [--listen ADDRESS] [--state STATE]";

fn main() -> ExitCode {
    match start(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(emulator) => serve(&emulator),
        Err(problem) => {
            eprintln!(
                "{problem}\n{USAGE}\nproviders: {}\nstates: {}",
                names(Service::ALL.map(Service::id)),
                names(State::ALL.map(State::name))
            );
            ExitCode::from(2)
        }
    }
}

fn names<const N: usize>(list: [&str; N]) -> String {
    list.join(", ")
}

fn start(arguments: &[String]) -> Result<(Emulator, State), String> {
    let (mut service, mut state) = (None, State::Live);
    let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return Err(format!("{} needs a value", pair.join(" "))) };
        match name.as_str() {
            "--provider" => service = Some(Service::from_id(value).ok_or_else(|| format!("unknown provider {value}"))?),
            "--listen" => address = value.parse().map_err(|_| format!("not an address: {value}"))?,
            "--state" => {
                let found = State::ALL.into_iter().find(|state| state.name() == value);
                state = found.ok_or_else(|| format!("unknown state {value}"))?;
            }
            other => return Err(format!("unknown option {other}")),
        }
    }
    let service = service.ok_or("--provider is missing")?;
    Ok((Emulator::start_at(service, address), state))
}

fn serve((emulator, state): &(Emulator, State)) -> ExitCode {
    let key = emulator.key(*state);
    println!(
        "{}",
        json!({"provider": emulator.service().id(), "base_url": emulator.base_url(), "origin": emulator.origin(),
                          "key": key, "state": state.name(), "model": emulator.service().model()})
    );
    loop {
        std::thread::park();
    }
}
