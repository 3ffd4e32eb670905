use super::*;
use crate::tables::tests::{project, provider};
use bytes::Bytes;
use keyward_domain::provider::Lists;

fn object(id: &str, project_seed: u8, credential: u8) -> OwnedObject {
    OwnedObject {
        provider: "openai".into(),
        object: id.into(),
        kind: "file".into(),
        project: project(project_seed),
        key: KeyId::new(1, [1; 10]),
        credential: CredentialId::new(1, [credential; 10]),
        at: 0,
    }
}

#[test]
fn only_the_project_that_made_an_object_may_name_it() {
    let objects = Objects::default();
    assert!(objects.record(&object("file-1", 1, 7)));
    let provider = provider();
    let mine = objects.check(&provider, "file-1", Some("file"), project(1));
    assert_eq!(mine, Ok(CredentialId::new(1, [7; 10])));
    for (id, kind, project_seed) in
        [("file-1", Some("file"), 2), ("file-2", Some("file"), 1), ("file-1", Some("batch"), 1), ("", None, 1)]
    {
        let refusal = objects.check(&provider, id, kind, project(project_seed)).unwrap_err();
        assert_eq!(refusal.reason, Reason::ObjectNotFound, "{id} {kind:?} {project_seed}");
    }
    let (theirs, nobodys) = (
        objects.check(&provider, "file-1", Some("file"), project(2)).unwrap_err().message,
        objects.check(&provider, "file-x", Some("file"), project(2)).unwrap_err().message,
    );
    assert_eq!(theirs.replace("file-1", ""), nobodys.replace("file-x", ""), "the answer does not tell them apart");
}

#[test]
fn an_object_never_changes_hands() {
    let objects = Objects::default();
    assert!(objects.record(&object("file-1", 1, 7)));
    assert!(!objects.record(&object("file-1", 2, 8)));
    assert_eq!(objects.owner("openai", "file-1").expect("owned").project, project(1));
    assert!(
        objects.owner("other", "file-1").is_none(),
        "ids of different providers have nothing to do with each other"
    );
    assert!(!objects.record(&object(&"x".repeat(LONGEST_ID + 1), 1, 7)));
    objects.adopt(&[object("file-2", 1, 7), object("file-1", 2, 8)]);
    assert!(objects.owner("openai", "file-2").is_some());
    assert_eq!(objects.owner("openai", "file-1").expect("still owned").project, project(1));
}

#[test]
fn what_stands_before_an_id_is_taken_off() {
    let provider = provider();
    let objects = Objects::default();
    objects.record(&object("abc", 1, 7));
    for written in ["abc", "files/abc", "https://api.openai.com/v1/files/abc"] {
        assert!(objects.belongs(&provider, written, project(1)), "{written}");
    }
    assert!(!objects.belongs(&provider, "xfiles/abc", project(1)));
    for (written, names) in [
        ("abc", true),
        ("", false),
        ("https://example.com/cat.png", false),
        ("https://api.openai.com/v1/files/abc", true),
        ("data:image/png;base64,AAAA", false),
        ("DATA:image/png;base64,AAAA", false),
        ("files/abc", true),
    ] {
        assert_eq!(names_object(&provider, written), names, "{written}");
    }
}

fn lists() -> Lists {
    Lists { kind: "file".into(), items: "data".into(), id: "id".into() }
}

#[test]
fn foreign_elements_are_cut_out_of_a_list_and_the_rest_stays_as_it_was() {
    let mine = |id: &str| id.starts_with("my");
    for (before, after) in [
        (r#"{"data":[]}"#, r#"{"data":[]}"#),
        (r#"{"object":"list","has_more":false}"#, r#"{"object":"list","has_more":false}"#),
        (r#"{"data":[{"id":"my1"},{"id":"my2"}]}"#, r#"{"data":[{"id":"my1"},{"id":"my2"}]}"#),
        (r#"{"data":[{"id":"x"}]}"#, r#"{"data":[]}"#),
        (
            r#"{ "data" : [ {"id":"x"} , {"n":[1,{"id":"y"}],"id":"my1"} , {"id":"z"} ] , "a":1}"#,
            r#"{ "data" : [ {"n":[1,{"id":"y"}],"id":"my1"} ] , "a":1}"#,
        ),
        (r#"{"data":[{"id":"my1"},{"id":"x"},{"id":"my2"}]}"#, r#"{"data":[{"id":"my1"},{"id":"my2"}]}"#),
        (r#"{"data":[{"no":"id"},{"id":5},"text",{"id":"my\u0031"}]}"#, r#"{"data":[{"id":"my\u0031"}]}"#),
        (
            r#"{"first_id":"x","data":[{"id":"x"},{"id":"my1"},{"id":"y"}],"last_id":"y"}"#,
            r#"{"first_id":"my1","data":[{"id":"my1"}],"last_id":"my1"}"#,
        ),
        (r#"{"data":[{"id":"x"}],"last_id":"x","first_id":null}"#, r#"{"data":[],"last_id":null,"first_id":null}"#),
    ] {
        let filtered = filter_list(&Bytes::from_static(before.as_bytes()), &lists(), mine);
        assert_eq!(filtered.as_deref(), Some(after.as_bytes()), "{before}");
    }
}

#[test]
fn a_list_that_cannot_be_read_is_not_shown() {
    for body in ["", "<html>", r#"{"data":["#, r#"{"data":[],"data":[{"id":"x"}]}"#] {
        assert_eq!(filter_list(&Bytes::from_static(body.as_bytes()), &lists(), |_| true), None, "{body}");
    }
}
