use super::*;
use crate::{
    objects::Objects,
    tables::tests::{open_policy, plan, project},
};
use keyward_domain::{
    CredentialId, KeyId,
    glob::Glob,
    policy::Policy,
    refusal::{Reason, Refusal},
    usage::OwnedObject,
};
use proptest::prelude::*;

#[derive(Default, Debug, PartialEq, Eq)]
struct Log {
    open: Vec<u8>,
    messages: Vec<String>,
}

impl Messages for Log {
    fn text(&mut self, piece: &[u8]) -> Result<(), Broken> {
        self.open.extend_from_slice(piece);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Broken> {
        self.messages.push(String::from_utf8_lossy(&std::mem::take(&mut self.open)).into_owned());
        Ok(())
    }
}

/// A frame as RFC 6455 has it.
fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let bit = if mask.is_some() { 0x80 } else { 0 };
    match payload.len() {
        length @ 0..=125 => out.push(bit | u8::try_from(length).unwrap()),
        length @ 126..=65_535 => {
            out.push(bit | 126);
            out.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            out.push(bit | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    let key = mask.unwrap_or_default();
    out.extend(mask.iter().flatten());
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

fn read(pieces: &[&[u8]]) -> Result<(Vec<String>, bool), Broken> {
    let (mut reader, mut log) = (Reader::default(), Log::default());
    for piece in pieces {
        reader.feed(piece, &mut log)?;
    }
    Ok((log.messages, reader.at_boundary()))
}

const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

#[test]
fn messages_are_put_together_in_both_directions() {
    let long = "y".repeat(70_000);
    let bytes = [
        frame(0x81, None, b"hello"),
        frame(0x81, MASK, b"masked"),
        frame(0x01, MASK, b"one "),
        frame(0x89, MASK, b"ping"),
        frame(0x00, MASK, b""),
        frame(0x80, MASK, b"message"),
        frame(0x82, None, b"{\"binary\":1}"),
        frame(0x8A, None, b""),
        frame(0x81, None, "x".repeat(300).as_bytes()),
        frame(0x81, MASK, long.as_bytes()),
    ]
    .concat();
    let expected: Vec<String> =
        ["hello", "masked", "one message", "{\"binary\":1}", &"x".repeat(300), &long].map(ToOwned::to_owned).into();
    assert_eq!(read(&[&bytes]), Ok((expected.clone(), true)));
    for at in 0..400 {
        let (first, second) = bytes.split_at(at);
        assert_eq!(read(&[first, second]), Ok((expected.clone(), true)), "split at {at}");
    }
    assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()), Ok((expected, true)));
}

#[test]
fn what_breaks_the_protocol_is_refused() {
    for bytes in [
        frame(0xC1, None, b"compressed"),
        frame(0x83, None, b"unknown kind"),
        frame(0x80, None, b"continues nothing"),
        [frame(0x01, None, b"a"), frame(0x81, None, b"b")].concat(),
        frame(0x09, None, b"control in pieces"),
        frame(0x89, None, &[0; 126]),
        vec![0x81, 127, 0xFF, 0, 0, 0, 0, 0, 0, 0],
    ] {
        assert_eq!(read(&[&bytes]), Err(Broken::Protocol), "{bytes:?}");
    }
}

fn say(messages: &[&str], policy: &Policy) -> Result<(), Refusal> {
    let objects = Objects::default();
    objects.record(&OwnedObject {
        provider: "openai".into(),
        object: "mine".into(),
        kind: "file".into(),
        project: project(1),
        key: KeyId::new(1, [1; 10]),
        credential: CredentialId::new(1, [1; 10]),
        at: 0,
    });
    let plan = plan("GET", "/socket");
    let rules = Rules { plan: &plan, policy, objects: &objects, project: project(1) };
    let mut tap = ClientTap::default();
    let mut last = Ok(());
    for message in messages {
        let bytes = frame(0x81, MASK, message.as_bytes());
        let (most, end) = bytes.split_at(bytes.len() - 1);
        tap.feed(most, &rules).expect("nothing is refused before the message is whole");
        last = tap.feed(end, &rules);
    }
    assert!(last.is_err() || tap.bytes() > 0);
    last
}

#[test]
fn every_message_of_a_client_is_judged() {
    let policy = Policy { models: Some(vec![Glob::new("gpt-*")]), max_output_tokens: Some(10), ..open_policy() };
    for (messages, reason) in [
        (&[r#"{"type":"x"}"#][..], None),
        (&[r#"{"model":"gpt-1","max_output_tokens":10,"file_id":"mine"}"#], None),
        (&[r#"{"model":"gpt-1"}"#, r#"{"model":"o3"}"#], Some(Reason::ModelNotAllowed)),
        (&[r#"{"model":"gpt-1","model":"o3"}"#], Some(Reason::MalformedRequest)),
        (&[r#"{"model":"gpt-1","max_output_tokens":11}"#], Some(Reason::MalformedRequest)),
        (&[r#"{"deep":[{"file_id":"theirs"}]}"#], Some(Reason::ObjectNotFound)),
        (&["not json"], Some(Reason::MalformedRequest)),
    ] {
        assert_eq!(say(messages, &policy).err().map(|refusal| refusal.reason), reason, "{messages:?}");
    }
}

#[test]
fn a_message_larger_than_the_key_allows_is_refused_while_it_comes() {
    let policy = Policy { max_body_bytes: Some(100), ..open_policy() };
    let plan = plan("GET", "/socket");
    let objects = Objects::default();
    let rules = Rules { plan: &plan, policy: &policy, objects: &objects, project: project(1) };
    let bytes = frame(0x81, MASK, &[b' '; 1_000]);
    let refusal = ClientTap::default().feed(&bytes[..200], &rules).unwrap_err();
    assert_eq!(refusal.reason, Reason::BodyTooLarge);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&[&bytes]);
    }
}
