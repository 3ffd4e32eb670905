//! What looks like a secret and is none.

use crate::Dice;
use keyward_catalogue::sample;

#[expect(clippy::too_many_lines, reason = "it is one table")]
pub(crate) fn all(dice: &mut Dice) -> Vec<(String, String)> {
    let vendors = [
        "mistral",
        "cohere",
        "azure_openai",
        "together",
        "deepgram",
        "assemblyai",
        "exa",
        "elevenlabs",
        "wandb",
        "pinecone",
        "upstage",
        "datadog",
        "twilio",
        "heroku",
    ];
    let templates = [
        "{v}_request_id: {h32}",
        "{\"{v}\": {\"etag\": \"{h32}\"}}",
        "# {v} sdk at commit {h40}",
        "image: {v}@sha256:{h64}",
        "{v}.checksum={h64}",
        "\"{v}-sdk\": {\"version\": \"1.2.3\", \"integrity\": \"sha512-{b86}==\"}",
        "{v}_model_id = \"{u}\"",
        "[{v}] trace_id={h32} span_id={h16}",
        "md5({v}.bin) = {h32}",
        "{v}-{h40}.js",
        "Etag: \"{h32}\" # {v}",
        "https://cdn.{v}.example/assets/main.{h32}.js",
        "{v}_file_hash: {h64}",
        "{v}_uuid={u}",
        "GET /{v}/requests/{u} 200",
        "{v}: revision {h40}",
        "\"{v}_public_key\": \"{a40}\"",
        "cache-key: {v}-{h64}",
        "{v} build-id {h40}",
        "sha1sum {v}.tar.gz\n{h40}  {v}.tar.gz",
        "{v}_digest = '{h64}'",
        "{v}_session_id={u}",
        "{v}_API_KEY=your-api-key-here-0123456789abcdef",
        "{v}_api_key: \"<{v}-api-key>\"",
        "{v}_API_KEY=${{v}_API_KEY}",
        "{v}_api_key = \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"",
        "{v}_API_KEY=REPLACE_WITH_YOUR_KEY_0000000000000000",
        "{v}ApiKey = process.env.{v}_API_KEY",
        "{v}_API_KEY=00000000000000000000000000000000",
        "{v}_api_key=********************************",
        "\"{v}_key_hash\": \"{h64}\"",
        "{v} fingerprint: {h64}",
        "{v}_org_id: {u}",
        "{v} job {u} finished",
        "\"{v}\": {\"sha\": \"{h40}\"}",
        "{v}/models/{h40}/config.json",
        "from {v} import client  # {h32}.tmp",
        "{v}_webhook_id={h32}",
        "{v}_dataset_version = \"{h32}\"",
        "git+https://github.com/{v}/sdk@{h40}",
        "{v}_nonce={h32}",
        "<img src=\"/{v}/{h32}.png\">",
    ];
    let plain = [
        "sk-proj-{x74}",
        "sk-ant-api03-{x93}AA",
        "sk-ant-api03-your-key-goes-here-and-is-quite-long",
        "OPENAI_API_KEY=sk-...",
        "OPENAI_API_KEY=sk-{x48}",
        "sk-proj-abcd****************wxyz",
        "Incorrect API key provided: sk-pr**********************************************Xy1A",
        "task-{h32}",
        "disk-{h32}",
        "risk-{h64}",
        "desk-proj-{a60}",
        "ask_{h48}",
        "mask_{h48}",
        "fw_update_controller_firmware",
        "hf_{w}_{w}_{w}_{w}",
        "gsk_{w}_{w}_{w}_{w}_{w}_{w}_{w}",
        "AKIAIOSFODNN7{E}",
        "AIzaSy{X33}",
        "\"integrity\": \"sha512-{b86}==\"",
        "resolved \"https://packages.example/a/-/a-1.0.0.tgz#{h40}\"",
        "checksum = \"{h64}\"",
        "index {h7}..{h7} 100644",
        "commit {h40}\nAuthor: A <a@b.c>",
        "pk_live_{a24}",
        "pk-lf-{u}",
        "phc_{a43}",
        "6L{a6}AAAAA{a27}",
        "{ apiKey: \"AIzaSy{a33}\", authDomain: \"app.firebaseapp.com\", projectId: \"app\", messagingSenderId: \"1234567890\" }",
        "<script src=\"https://maps.googleapis.com/maps/api/js?key=AIzaSy{a33}\"></script>",
        "class=\"css-{h32}\"",
        "uuid: {u}",
        "data:image/png;base64,iVBORw0KGgo{b86}{b86}",
        "blob {h64}",
        "xai-grok-models-and-all-the-other-things-of-a-name",
        "sk-ant-api03-{o}{o}{o}{o}{o}{o}AA",
        "ghp_{x36}",
        "hf_{x34}",
        "r8_{a37}",
        "sk-or-v1-{z64}",
        "postgres://user:password@localhost:5432/db",
        "redis://default:${REDIS_PASSWORD}@cache:6379",
        "https://user:pass@example.com/",
        "token = get_token_from_environment_variable()",
        "let key_of_the_session_in_the_local_storage = read();",
        "fp-{h32}",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{b42} me@host",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA{b86}\n-----END PUBLIC KEY-----",
        "Bearer [REDACTED]",
        "x-amz-request-id: {h32}",
        "\"etag\": \"W/\\\"{h40}\\\"\"",
        "v{h32}_final",
        "sha256:{h64}",
        "nonce-{b42}",
    ];
    let mut out = Vec::new();
    for template in templates {
        for vendor in vendors {
            out.push((template.to_owned(), fill(&template.replace("{v}", vendor), dice)));
        }
    }
    for template in plain {
        out.push((template.to_owned(), fill(template, dice)));
    }
    out
}

fn fill(template: &str, dice: &mut Dice) -> String {
    let mut text = template.to_owned();
    let shapes = [
        ("{E}", "EXAMPLE"),
        ("{h7}", "[a-f0-9]{7}"),
        ("{h16}", "[a-f0-9]{16}"),
        ("{h32}", "[a-f0-9]{32}"),
        ("{h40}", "[a-f0-9]{40}"),
        ("{h48}", "[a-f0-9]{48}"),
        ("{h64}", "[a-f0-9]{64}"),
        ("{a6}", "[A-Za-z0-9]{6}"),
        ("{a24}", "[A-Za-z0-9]{24}"),
        ("{a27}", "[A-Za-z0-9]{27}"),
        ("{a33}", "[A-Za-z0-9]{33}"),
        ("{a40}", "[A-Za-z0-9]{40}"),
        ("{a43}", "[A-Za-z0-9]{43}"),
        ("{a60}", "[A-Za-z0-9]{60}"),
        ("{b42}", "[A-Za-z0-9+/]{42}"),
        ("{b86}", "[A-Za-z0-9+/]{86}"),
        ("{u}", "[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[89ab][a-f0-9]{3}-[a-f0-9]{12}"),
        ("{x74}", "x{74}"),
        ("{x93}", "x{93}"),
        ("{X33}", "X{33}"),
        ("{x34}", "x{34}"),
        ("{x36}", "x{36}"),
        ("{x48}", "x{48}"),
        ("{a37}", "a{37}"),
        ("{z64}", "0{64}"),
        ("{o}", "0123456789abcdef"),
        ("{w}", "(?:signal|connect|closure|model|loading|helper|transform)"),
    ];
    for (name, pattern) in shapes {
        while text.contains(name) {
            text = text.replacen(name, &sample::text(pattern, dice.roll()).unwrap_or_default(), 1);
        }
    }
    text
}
