//! What people paste where a key should be: ids, addresses, secrets of something else. Told by how it begins.

/// A beginning, what it is, and what to do.
type Kind = (&'static str, &'static str, &'static str);

const ID: &str = "Copy the key itself: it is shown once, when it is made. If it was not kept, make a new one.";
const OTHER: &str = "This is a secret of another service: put it back where it belongs, and copy the provider's key.";
const SHORT: &str = "It lives for a short time and is not for servers: make an API key.";

const KINDS: [Kind; 34] = [
    ("org-", "an organization's id", ID),
    ("proj_", "a project's id", ID),
    ("user-", "a user's id", ID),
    ("key_", "a key's id", ID),
    ("apikey_", "a key's id", ID),
    ("wrkspc_", "a workspace's id", ID),
    ("svc_acct_", "a service account's id", ID),
    ("ek_", "a key for one session of a browser", SHORT),
    ("ya29.", "an access token of a Google login", SHORT),
    ("sk-ant-oat", "an access token of a Claude login", SHORT),
    ("sk-ant-ort", "a refresh token of a Claude login", SHORT),
    ("sk-ant-sid", "the cookie of a Claude login", SHORT),
    ("eyJ", "a JSON web token", SHORT),
    ("pk-", "a public key", "A public key opens nothing: copy the secret one that belongs to it."),
    ("pk_", "a public key", "A public key opens nothing: copy the secret one that belongs to it."),
    ("ssh-", "a public SSH key", "Copy the provider's API key instead."),
    ("age1", "a public key of age", "Copy the provider's API key instead."),
    ("-----BEGIN", "a key or certificate in PEM form", OTHER),
    ("AGE-SECRET-KEY-", "a secret key of age", OTHER),
    ("sk_live_", "a payment service's key", OTHER),
    ("sk_test_", "a payment service's key", OTHER),
    ("rk_live_", "a payment service's key", OTHER),
    ("whsec_", "a webhook's secret", OTHER),
    ("ghp_", "a GitHub token", OTHER),
    ("gho_", "a GitHub token", OTHER),
    ("ghs_", "a GitHub token", OTHER),
    ("github_pat_", "a GitHub token", OTHER),
    ("glpat-", "a GitLab token", OTHER),
    ("xoxb-", "a Slack token", OTHER),
    ("xoxp-", "a Slack token", OTHER),
    ("AKIA", "the id of an AWS access key", OTHER),
    ("http://", "an address", "Copy the key, not the page it is shown on."),
    ("https://", "an address", "Copy the key, not the page it is shown on."),
    ("{", "a JSON document", "Copy the key alone, without what stands around it."),
];

/// What a text is where it is no key, and what to do.
#[must_use]
pub(super) fn of(text: &str) -> Option<(&'static str, &'static str)> {
    let kind = KINDS.iter().find(|(beginning, ..)| text.starts_with(beginning));
    kind.map(|(_, what, remedy)| (*what, *remedy))
}
