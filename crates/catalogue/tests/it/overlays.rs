//! An operator's folders: adding, replacing, and what is said when a file is wrong.

use keyward_catalogue::{Catalogue, Error, summary};
use std::fs;
use tempfile::TempDir;

const MINE: &str = r#"
id = "mine"
name = "My server"
as_of = "2026-11-21"
[api]
base_url = "http://127.0.0.1:9000/v1"
root = "/mine/v1"
dialect = "openai"
[auth]
header = "authorization"
prefix = "Bearer "
[[operations]]
name = "chat"
method = "POST"
path = "/chat/completions"
"#;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn load(folder: &TempDir) -> Result<Catalogue, Error> {
    Catalogue::load(&[folder.path().to_owned()])
}

#[test]
fn a_file_adds_a_provider() {
    let folder = folder(&[("providers/mine.toml", MINE), ("providers/notes.txt", "not read")]);
    let catalogue = load(&folder).unwrap();
    assert_eq!(&*catalogue.provider("mine").unwrap().name, "My server");
    let ids: Vec<_> = catalogue.providers().iter().map(|provider| &*provider.id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    assert_eq!(ids.len(), Catalogue::embedded().unwrap().providers().len() + 1);
}

#[test]
fn a_file_replaces_a_provider_as_a_whole() {
    let text = MINE.replace("id = \"mine\"", "id = \"openai\"").replace("/mine/v1", "/openai/v1");
    let catalogue = load(&folder(&[("providers/a.toml", &text)])).unwrap();
    let openai = catalogue.provider("openai").unwrap();
    assert_eq!((openai.operations.len(), &*openai.api.base_url), (1, "http://127.0.0.1:9000/v1"));
    assert!(catalogue.shapes().iter().all(|shape| &*shape.provider != "openai"));
}

#[test]
fn folders_that_do_not_exist_are_empty() {
    let folder = TempDir::new().unwrap();
    let catalogue = Catalogue::load(&[folder.path().join("nowhere"), folder.path().to_owned()]).unwrap();
    assert_eq!(catalogue.providers().len(), Catalogue::embedded().unwrap().providers().len());
}

#[test]
fn a_wrong_file_is_refused_with_its_place() {
    let text = MINE.replace("method = \"POST\"", "method = \"SEND\"");
    let error = load(&folder(&[("providers/mine.toml", &text)])).unwrap_err().to_string();
    assert!(error.contains("mine.toml:14:10: `SEND` is not a method"), "{error}");
}

#[test]
fn two_providers_cannot_share_a_path() {
    let text = MINE.replace("id = \"mine\"", "id = \"openai\"").replace("/mine/v1", "/openai");
    load(&folder(&[("providers/mine.toml", &text)])).expect("a replacement may choose another path below its id");
    let other = folder(&[("providers/a.toml", MINE), ("providers/b.toml", &MINE.replace("/mine/v1", "/openai/v1"))]);
    let error = load(&other).unwrap_err();
    assert!(matches!(error, Error::Invalid { .. } | Error::RootTaken { .. }), "{error}");
}

#[test]
fn prices_of_the_operator_win_and_change_the_version() {
    let mine = "provider = \"openai\"\n[[prices]]\nmodel = \"gpt-5.4\"\nrates = { input = 1, output = 2 }\n\
                [[prices]]\nprovider = \"mine\"\nmodel = \"local\"\nrates = { input = 3 }\n";
    let folder = folder(&[("providers/mine.toml", MINE), ("prices/mine.toml", mine)]);
    let (plain, laid) = (Catalogue::embedded().unwrap(), load(&folder).unwrap());
    let now = 1_795_219_200_000;
    assert_ne!(plain.prices().find("openai", "gpt-5.4", now).unwrap().rates.input, Some(1));
    assert_eq!(laid.prices().find("openai", "gpt-5.4", now).unwrap().rates.input, Some(1));
    assert_eq!(laid.prices().find("mine", "local", now).unwrap().rates.input, Some(3));
    assert!(laid.prices().version.starts_with(&*plain.prices().version), "{}", laid.prices().version);
    assert_ne!(laid.prices().version, plain.prices().version);
    let rows: Vec<_> =
        summary::prices(&laid, Some("openai"), None, now).filter(|row| &*row.model == "gpt-5.4").collect();
    assert_eq!(rows.len(), 1, "the entry that is laid over is not listed");
    assert_eq!(rows[0].rates.input, Some(1));
}

#[test]
fn wrong_price_files_are_refused() {
    let mine = "provider = \"openai\"\n[[prices]]\nmodel = \"m\"\nrates = { input = 2.5 }\n";
    let error = load(&folder(&[("prices/mine.toml", mine)])).unwrap_err().to_string();
    assert!(error.contains("mine.toml:4:19"), "{error}");
}

#[test]
fn the_list_of_providers_says_what_people_ask() {
    let catalogue = Catalogue::embedded().unwrap();
    let lines = summary::providers(&catalogue);
    let openai = lines.iter().find(|line| &*line.id == "openai").unwrap();
    assert_eq!(&*openai.root, "/openai/v1");
    assert_eq!(openai.base_url_variables, ["OPENAI_BASE_URL".into()]);
    assert!(openai.operations.contains(&"chat".into()) && openai.listed_operations.contains(&"files".into()));
    assert!(!openai.operations.contains(&"files".into()));
    assert!(openai.priced_models > 50);
}

#[test]
fn what_tools_cost_holds_for_every_model_unless_an_entry_or_a_later_file_says_otherwise() {
    let prices = "provider = \"openai\"\nfees = { code_run = 7, search = 9 }\n\
                  [[prices]]\nmodel = \"gpt-5.4\"\nrates = { input = 1, output = 2 }\n\
                  [[prices]]\nmodel = \"own\"\nfees = { search = 0 }\n";
    let catalogue = load(&folder(&[("prices/mine.toml", prices)])).unwrap();
    let fees = |model: &str| catalogue.prices().find("openai", model, 0).unwrap().fees.clone();
    for model in ["gpt-5.4", "gpt-5.5", "gpt-4o"] {
        let fees = fees(model);
        assert_eq!((fees.code_run, fees.search), (Some(7), Some(9)), "{model}");
        assert_eq!(fees.file_search, Some(2_500_000), "{model}: what the file leaves out stays");
    }
    assert_eq!(fees("gpt-4o").preview_search, Some(25_000_000));
    assert_eq!((fees("own").search, fees("own").code_run), (Some(0), Some(7)));
    let claude = catalogue.prices().find("anthropic", "claude-sonnet-5", 0).unwrap();
    assert_eq!((claude.fees.search, claude.fees.code_run), (Some(10_000_000), None), "another provider's are its own");
    assert_eq!(claude.regions.first().map(|rate| (&*rate.region, rate.permille)), Some(("us", 1_100)));
}
