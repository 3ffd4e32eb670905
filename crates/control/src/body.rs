//! Reading requests: JSON bodies, queries and path parameters, with problem documents for what does not fit. Bytes
//! that held a secret are wiped, and error texts never repeat a value that was sent.

use crate::error::{Answer, ApiError};
use axum::{
    RequestExt,
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, header, request::Parts},
};
use bytes::BytesMut;
use http_body_util::{BodyExt, Limited};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use std::{cell::RefCell, fmt};
use zeroize::{Zeroize, Zeroizing};

/// The largest body the API reads: 1 MiB.
const LARGEST: usize = 1 << 20;

/// A JSON body.
pub(crate) struct Json<T>(pub T);

/// A JSON body that may be left out altogether.
pub(crate) struct MaybeJson<T>(pub T);

/// Query parameters.
pub(crate) struct Params<T>(pub T);

/// One path parameter: an id or a name.
pub(crate) struct Name(pub String);

/// A secret as it arrives: no `Debug`, wiped when dropped.
pub(crate) struct SecretText(pub Zeroizing<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

async fn read(request: Request) -> Answer<Zeroizing<Vec<u8>>> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = content_type.is_none_or(|kind| {
        let kind = kind.split(';').next().unwrap_or("").trim();
        kind.eq_ignore_ascii_case("application/json") || kind.ends_with("+json")
    });
    if !is_json {
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", "the body must be JSON")
            .hint("send it with content-type: application/json"));
    }
    let body: Body = request.with_limited_body().into_body();
    let mut limited = Limited::new(body, LARGEST);
    let mut bytes = Zeroizing::new(Vec::new());
    while let Some(frame) = limited.frame().await {
        let frame = frame.map_err(|_| {
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body broke off or is larger than 1 MiB")
        })?;
        let Ok(data) = frame.into_data() else { continue };
        // Growing would leave a copy behind that nobody wipes.
        let mut grown = Zeroizing::new(Vec::with_capacity(bytes.len() + data.len()));
        grown.extend_from_slice(&bytes);
        grown.extend_from_slice(&data);
        bytes = grown;
        if let Ok(mut data) = data.try_into_mut() {
            BytesMut::as_mut(&mut data).zeroize();
        }
    }
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    refuse_nul(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| {
        let code = if error.is_data() { "invalid_field" } else { "invalid_json" };
        ApiError::invalid(code, format!("the body does not fit: {}", without_values(&error.to_string())))
    })
}

/// The error for text with the character NUL, which PostgreSQL cannot store.
fn nul(place: &str) -> ApiError {
    ApiError::invalid("invalid_text", format!("{place} holds the character NUL, which no text here may have"))
        .hint("send it without")
}

/// Refuses JSON with the character NUL in a text, and names the field.
fn refuse_nul(bytes: &[u8]) -> Answer<()> {
    // Bare, it is no JSON at all; so it can only be there escaped.
    if !bytes.windows(NUL.len()).any(|window| window == NUL) {
        return Ok(());
    }
    let path = RefCell::new(Vec::new());
    let found = Walk(&path).deserialize(&mut serde_json::Deserializer::from_slice(bytes));
    // What is no JSON is said by whoever reads it for its fields.
    match found {
        Err(error) if error.is_data() => Err(nul(&format!("the field `{}`", path.into_inner().join(".")))),
        _ => Ok(()),
    }
}

/// How JSON writes the character.
const NUL: &[u8] = b"\\u0000";

/// Walks through JSON and stops at the first text with NUL; then the path says where. Keeps nothing else.
#[derive(Clone, Copy)]
struct Walk<'a>(&'a RefCell<Vec<String>>);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text without NUL")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') { Err(E::custom("NUL")) } else { Ok(()) }
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key::<String>()? {
            self.0.borrow_mut().push(crate::error::shown(&name));
            self.visit_str(&name)?;
            fields.next_value_seed(self)?;
            self.0.borrow_mut().pop();
        }
        Ok(())
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Answer<Self> {
        let bytes = read(request).await?;
        if bytes.is_empty() {
            return Err(ApiError::invalid("invalid_json", "this call needs a JSON body"));
        }
        parse(&bytes).map(Self)
    }
}

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for MaybeJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Answer<Self> {
        let bytes = read(request).await?;
        if bytes.is_empty() { Ok(Self(T::default())) } else { parse(&bytes).map(Self) }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let pairs = parts.uri.query().unwrap_or("").split('&');
        if let Some(pair) = pairs.into_iter().find(|pair| pair.contains("%00")) {
            return Err(nul(&format!("the parameter `{}`", crate::error::shown(pair.split('=').next().unwrap_or("")))));
        }
        Query::<T>::from_request_parts(parts, state).await.map(|Query(params)| Self(params)).map_err(|error| {
            ApiError::invalid(
                "invalid_query",
                format!("the query does not fit: {}", without_values(&error.body_text())),
            )
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::invalid("invalid_path", "the path is not valid text"))
            .and_then(|Path(name)| if name.contains('\0') { Err(nul("the path")) } else { Ok(Self(name)) })
    }
}

/// serde's sentence without the values that it quotes: a secret in the wrong field must not come back, nor get
/// into a log. Names of fields (in the list of what was expected) stay.
fn without_values(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(['"', '`']) {
        let (before, quoted) = rest.split_at(start);
        out.push_str(before);
        let quote = if quoted.starts_with('"') { '"' } else { '`' };
        let inner = quoted.get(1..).unwrap_or("");
        // A value may hold the quote itself: the last one before the sentence goes on ends it.
        let is_value = quote == '"' || before.ends_with("unknown variant ") || before.ends_with("invalid value: ");
        let end = if is_value {
            [", expected", " at line"].iter().filter_map(|stop| inner.rfind(stop)).min().unwrap_or(inner.len())
        } else {
            inner.find(quote).map_or(inner.len(), |end| end + 1)
        };
        let (value, after) = inner.split_at(end);
        if is_value {
            out.push('…');
        } else {
            out.push(quote);
            out.push_str(&crate::error::shown(value));
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its reading is tested")]
    struct Sample {
        order: u32,
        #[serde(default)]
        style: Option<Style>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Style {
        Kw,
    }

    #[test]
    fn nul_is_refused_and_its_field_named() {
        for (body, field) in [
            (r#"{"order":1,"colour":"a\u0000MARK"}"#, "`colour`"),
            (r#"{"a":{"b":[1,null,{"c":"\u0000"}]}}"#, "`a.b.c`"),
            (r#"{"a":true,"b\u0000":1}"#, "`b`"),
        ] {
            let error = parse::<Sample>(body.as_bytes()).unwrap_err();
            assert_eq!(error.code(), "invalid_text");
            let text = format!("{error:?}");
            assert!(text.contains(field) && !text.contains("MARK"), "{text}");
        }
        // An escaped backslash before the same letters.
        let fine = parse::<serde_json::Value>(br#"{"a":"\\u0000"}"#).unwrap();
        assert_eq!(fine["a"], "\\u0000");
        assert_eq!(parse::<serde_json::Value>(br#"{"a":"\u0000"#).unwrap_err().code(), "invalid_json");
    }

    #[test]
    fn mistakes_are_named_and_values_are_not_repeated() {
        for (body, part) in [
            (r#"{"order":"MARK"}"#, "expected u32"),
            (r#"{"order":"MARK\" , expected MARK"}"#, "expected"),
            (r#"{"order":1,"style":"MARK"}"#, "expected `kw`"),
            (r#"{"order":1,"colour":"MARK"}"#, "unknown field `colour`"),
            (r#"{}"#, "missing field `order`"),
            ("{", "EOF"),
        ] {
            let error = parse::<Sample>(body.as_bytes()).unwrap_err();
            let text = format!("{error:?}");
            assert!(text.contains(part), "{text}");
            assert!(!text.contains("MARK"), "{text}");
        }
    }
}
