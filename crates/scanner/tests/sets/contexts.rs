//! Where keys stand.

use crate::{
    Dice,
    formats::{Format, base64},
};

/// Each with a name. In braces: `key`, the key in various forms; `VAR`, `var` and `camel`, the name of a variable; `Title`
/// and `slug`, the vendor; `host`; `hex`, something else that looks random.
pub(crate) fn all() -> &'static [(&'static str, &'static str)] {
    &[
        ("env", "PORT=8080\n{VAR}={key}\nDEBUG=1\n"),
        ("env quoted", "export {VAR}=\"{key}\"\nexport OTHER=1\n"),
        ("env spaced", "{VAR} = '{key}' # production\n"),
        ("json", "{\n  \"model\": \"x\",\n  \"{var}\": \"{key}\",\n  \"retries\": 3\n}\n"),
        ("json camel", "{\"{camel}\":\"{key}\",\"timeout\":30}"),
        ("json nested", "{\"providers\": {\"{slug}\": {\"baseUrl\": \"https://{host}\", \"apiKey\": \"{key}\"}}}"),
        ("yaml", "services:\n  {slug}:\n    api_key: {key}\n    timeout: 3\n"),
        ("yaml quoted", "{var}: '{key}'\n"),
        ("toml", "[{slug}]\napi_key = \"{key}\"\nretries = 2\n"),
        ("ini", "[{slug}]\nkey={key}\n\n[other]\na=b\n"),
        ("properties", "spring.ai.{slug}.api-key={key}\nserver.port=80\n"),
        ("xml element", "<config><{slug}><apiKey>{key}</apiKey></{slug}></config>"),
        ("xml attribute", "<appSettings><add key=\"{Title}ApiKey\" value=\"{key}\"/></appSettings>"),
        ("php define", "<?php\ndefine( '{VAR}', '{key}' );\ndefine('WP_DEBUG', false);\n"),
        ("php array", "'{slug}' => ['api_key' => '{key}', 'model' => 'x'],"),
        ("php serialized", "a:2:{s:{varlen}:\"{var}\";s:{keylen}:\"{key}\";s:5:\"model\";s:3:\"abc\";}"),
        (
            "php serialized in sql",
            "INSERT INTO `wp_options` VALUES (12,'{var}_settings','a:1:{s:{varlen}:\\\"{var}\\\";s:{keylen}:\\\"{key}\\\";}','yes'),(13,'siteurl','https://a.b','yes');",
        ),
        ("sql insert", "INSERT INTO settings (name, value) VALUES ('{var}', '{key}');"),
        ("minified js", "var a=1,b={{camel}:\"{key}\",c:2};function d(){return b.{camel}}!function(){d()}();"),
        ("url query", "GET https://{host}/v1/models?api_key={key}&page=2 HTTP/1.1"),
        ("curl bearer", "curl https://{host}/v1/chat -H 'Authorization: Bearer {key}' -d '{}'"),
        ("curl header", "curl -X POST https://{host}/v1 -H \"x-api-key: {key}\" -H \"content-type: application/json\""),
        ("curl user", "curl -u {key}: https://{host}/v1/me"),
        ("log line", "2026-11-21T10:00:00Z DEBUG {slug} client started with key {key} after 12 ms"),
        (
            "log json",
            "{\"level\":\"info\",\"msg\":\"request to {host}\",\"headers\":{\"authorization\":\"Bearer {key}\"}}",
        ),
        ("markdown", "## Setup\n\nSet your {Title} key:\n\n```sh\nexport {VAR}={key}\n```\n"),
        ("markdown inline", "Use the {Title} key `{key}` for now."),
        (
            "notebook",
            "{\"cells\":[{\"cell_type\":\"code\",\"source\":[\"import os\\n\",\"os.environ[\\\"{VAR}\\\"] = \\\"{key}\\\"\\n\"]}]}",
        ),
        ("escaped newline", "\"env\": \"A=1\\n{VAR}={key}\\nB=2\""),
        ("percent all", "https://a.example/cb?{var}={key%}&x=1"),
        ("percent edges", "https://a.example/cb?next=%2F%3F{var}%3D{key}%26x%3D1"),
        ("html entity", "<input name=\"{var}\" value=\"{key&}\">"),
        ("html", "<td>{Title} key</td><td>{key}</td></tr>"),
        ("html quot", "data-config=\"{&quot;{camel}&quot;:&quot;{key}&quot;}\""),
        ("unicode escapes", "{\"{var}\": \"{keyu}\"}"),
        ("base64 key", "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\ndata:\n  {VAR}: {key64}\n"),
        ("base64 env", "ENV_FILE={env64}"),
        ("base64 json", "config: {json64}\n"),
        ("csv", "name,vendor,api_key\nproduction,{slug},{key}\n"),
        ("csv semicolon", "{Title};api key;{key};2026-11-21"),
        ("tsv", "{slug}\tapi_key\t{key}\n"),
        ("k8s string data", "kind: Secret\nstringData:\n  {var}: \"{key}\"\n"),
        ("k8s env", "env:\n  - name: {VAR}\n    value: \"{key}\"\n"),
        ("docker compose", "services:\n  app:\n    environment:\n      - {VAR}={key}\n      - TZ=UTC\n"),
        ("dockerfile", "FROM debian\nENV {VAR}={key}\nRUN make\n"),
        ("terraform", "variable \"{var}\" {\n  type    = string\n  default = \"{key}\"\n}\n"),
        ("shell history", ": 1763719200:0;export {VAR}={key}\n: 1763719210:0;ls\n"),
        ("shell inline", "{VAR}={key} python main.py --verbose"),
        ("powershell", "$env:{VAR} = \"{key}\"\nSet-Location ..\n"),
        ("windows cmd", "setx {VAR} \"{key}\"\r\n"),
        (
            "mcp config",
            "{\"mcpServers\":{\"{slug}\":{\"command\":\"npx\",\"args\":[\"-y\",\"srv\"],\"env\":{\"{VAR}\":\"{key}\"}}}}",
        ),
        ("args list", "[\"run\", \"--{slug}-api-key\", \"{key}\", \"--port\", \"80\"]"),
        ("flag", "app serve --{slug}-key={key} --port 80"),
        ("header block", "POST /v1/x HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nAccept: */*\r\n"),
        ("chat", "hey, the {Title} key is {key}, don't lose it"),
        ("chat slack", "<@U12> {Title} api key: {key}"),
        ("mail", "Hi,\r\n\r\nhere is the {Title} API key: {key}\r\n\r\nBest\r\n"),
        ("python", "client = {Title}(api_key=\"{key}\", timeout=3)\n"),
        ("python positional", "client = {Title}(\"{key}\")\n"),
        ("python dict", "config = {'{var}': '{key}', 'n': 1}\n"),
        ("javascript", "const {camel} = '{key}';\nfetch(url);\n"),
        ("javascript new", "const client = new {Title}({ apiKey: '{key}' });"),
        ("typescript", "private readonly {camel}: string = \"{key}\";"),
        ("go", "const {camel} = \"{key}\"\nvar client = {slug}.NewClient({camel})\n"),
        ("rust", "const {VAR}: &str = \"{key}\";\n"),
        ("java", "private static final String {VAR} = \"{key}\";\n"),
        ("csharp", "var client = new {Title}Client(new ApiKeyCredential(\"{key}\"));\n"),
        ("ruby", "{Title}.configure { |c| c.access_token = '{key}' }\n"),
        ("swift", "let {camel} = \"{key}\"\n"),
        ("kotlin", "buildConfigField(\"String\", \"{VAR}\", \"\\\"{key}\\\"\")\n"),
        ("concatenated", "const {camel} = \"{key1}\" +\n  \"{key2}\";\n"),
        ("concatenated php", "${var} = '{key1}' . '{key2}';\n"),
        ("implicit", "{VAR} = (\"{key1}\"\n    \"{key2}\")\n"),
        ("diff", "-{VAR}=\n+{VAR}={key}\n"),
        ("comment", "// old {Title} key: {key}\n"),
        ("git config", "[remote \"origin\"]\n\turl = https://{host}/a\n[{slug}]\n\ttoken = {key}\n"),
        ("netrc", "machine {host} login me password {key}\n"),
        ("jenkins", "withEnv(['{VAR}={key}']) { sh 'make' }"),
        ("ansible", "- name: set\n  vars:\n    {var}: !unsafe {key}\n"),
        ("terminal colours", "\u{1b}[32m{VAR}\u{1b}[0m=\u{1b}[33m{key}\u{1b}[0m\n"),
        ("no line end", "{VAR}={key}"),
        ("yaml list", "- {slug}:\n  - key: {key}\n"),
        ("graphql", "mutation { setKey(vendor: \"{slug}\", apiKey: \"{key}\") { ok } }"),
        ("systemd", "[Service]\nEnvironment=\"{VAR}={key}\"\nExecStart=/bin/app\n"),
        ("nginx", "proxy_set_header Authorization \"Bearer {key}\"; # {Title}\n"),
        ("latex", "\\newcommand{\\{camel}}{{key}}\n"),
        ("xml cdata", "<{slug}-key><![CDATA[{key}]]></{slug}-key>"),
        ("template literal", "const {camel} = `{key}`;"),
        ("yaml block", "{var}: |\n  {key}\nnext: 1\n"),
        ("yaml folded", "{slug}:\n  token: >-\n    {key}\n"),
        ("har", "{\"name\": \"Authorization\", \"value\": \"Bearer {key}\"},{\"url\": \"https://{host}/v1\"}"),
        ("set environment", "[Environment]::SetEnvironmentVariable(\"{VAR}\", \"{key}\", \"User\")"),
        ("os environ", "os.environ['{VAR}'] = '{key}'"),
        ("getenv default", "key = os.getenv(\"{VAR}\", \"{key}\")"),
        ("or default", "const k = process.env.{VAR} || \"{key}\";"),
        ("docker run", "docker run -e {VAR}={key} -p 80:80 image"),
        ("helm set", "helm install app --set {slug}.apiKey={key}"),
        ("kubectl", "kubectl create secret generic {slug} --from-literal=api-key={key}"),
        ("html comment", "<!-- {Title} token {key} -->"),
        ("javascript header", "fetch('https://{host}/v1', { headers: { 'Authorization': `Bearer {key}` } })"),
        ("go header", "req.Header.Set(\"Authorization\", \"Bearer {key}\") // {slug}"),
        ("python header", "requests.post(\"https://{host}/v1\", headers={\"Authorization\": \"Bearer {key}\"})"),
        ("wp-cli", "wp option update {var} '{key}'"),
        ("json escaped in json", "{\"body\": \"{\\\"{var}\\\": \\\"{key}\\\"}\"}"),
        ("tfvars", "{var} = \"{key}\"\n"),
        ("github workflow", "env:\n  {VAR}: {key}\nsteps:\n"),
        ("makefile", "{VAR} := {key}\n"),
        ("fish", "set -gx {VAR} {key}\n"),
        ("launchd plist", "<key>{VAR}</key>\n<string>{key}</string>"),
        ("csv quoted", "\"id\",\"vendor\",\"key\"\n\"1\",\"{slug}\",\"{key}\"\n"),
        ("python traceback", "AuthenticationError: Incorrect API key provided: {key}. ({slug})"),
        ("question", "Q: why does my {Title} key {key} not work?"),
        ("base64 basic", "Authorization: Basic {basic64}\nHost: {host}\n"),
        ("pipe table", "| {Title} | api key | {key} |\n"),
    ]
}

/// Puts a key into a context.
pub(crate) fn fill(context: &str, format: &Format, key: &str, _dice: &mut Dice) -> String {
    let lower = format.variable.to_ascii_lowercase();
    let camel: String = lower
        .split('_')
        .enumerate()
        .map(|(at, part)| if at == 0 { part.to_owned() } else { part[..1].to_ascii_uppercase() + &part[1..] })
        .collect();
    let slug = format.title.to_ascii_lowercase();
    let percent: String = key.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let entity: String = key.bytes().map(|byte| format!("&#{byte};")).collect();
    let unicode: String = key.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let half = key.len() / 2;
    let mut text = context.to_owned();
    let json = format!("{{\"{lower}\":\"{key}\"}}");
    for (name, value) in [
        ("{key%}", percent),
        ("{key&}", entity),
        ("{keyu}", unicode),
        ("{key64}", base64(key.as_bytes())),
        ("{env64}", base64(format!("A=1\n{}={key}\n", format.variable).as_bytes())),
        ("{json64}", base64(json.as_bytes())),
        ("{basic64}", base64(format!("{slug}:{key}").as_bytes())),
        ("{key1}", key[..half].to_owned()),
        ("{key2}", key[half..].to_owned()),
        ("{keylen}", key.len().to_string()),
        ("{varlen}", lower.len().to_string()),
        ("{VAR}", format.variable.to_owned()),
        ("{var}", lower),
        ("{camel}", camel),
        ("{Title}", format.title.to_owned()),
        ("{slug}", slug),
        ("{host}", format.host.to_owned()),
        ("{key}", key.to_owned()),
    ] {
        text = text.replace(name, &value);
    }
    text
}
