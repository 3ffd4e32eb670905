//! What is asked for in a new budget: whose it is, how much, in which window; and what makes it impossible.

use super::sealed;
use crate::{
    Control,
    api::{keys, projects},
    budgets::summary,
    control::change,
    error::{Answer, ApiError, shown},
    publish::ACTIVE,
};
use keyward_domain::{
    BudgetId, Environment, KeyId, Money, ProjectId,
    budget::{BadLimit, Limit, Scope},
    window::{BadWindow, Window},
};
use keyward_store::{BudgetFilter, BudgetRow, Change, KeyRow, KeyStatus, Write};
use serde_json::Value;

/// The most budgets that bound one scope.
const MOST: usize = 16;
/// The most thresholds of one budget.
const MOST_THRESHOLDS: usize = 16;
/// The thresholds when nobody names any, in percent.
const THRESHOLDS: [u8; 3] = [50, 80, 100];

/// Whose budget it is to be, as it was asked for.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) organisation: bool,
    pub(crate) project: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
}

/// Whose budget it is: the scope, where it lies, and how it is called.
pub(crate) struct Place {
    /// The scope.
    pub(crate) scope: Scope,
    project: Option<ProjectId>,
    environment: Option<Environment>,
    key: Option<KeyId>,
    words: String,
}

/// A budget's limit and what is said on the way to it.
pub(crate) struct Draft {
    /// The limit and its window.
    pub(crate) limit: Limit,
    /// In percent, rising.
    pub(crate) thresholds: Vec<u8>,
}

impl Draft {
    /// From the limit alone.
    ///
    /// # Errors
    /// 400 when the text is no limit.
    pub(crate) fn of(limit: &str) -> Answer<Self> {
        Ok(Self { limit: limit_of(Some(limit), None, None)?, thresholds: THRESHOLDS.to_vec() })
    }
}

impl Place {
    /// Finds what was named.
    ///
    /// # Errors
    /// 400 unless exactly one scope is named; 404 when there is no such record; 409 when it is no longer in use.
    pub(crate) async fn find(control: &Control, asked: Asked<'_>, environment: Option<Environment>) -> Answer<Self> {
        let Asked { organisation, project, key } = asked;
        match (organisation, project, key, environment) {
            (true, None, None, None) => Ok(Self {
                scope: Scope::Organisation,
                project: None,
                environment: None,
                key: None,
                words: "the organisation".to_owned(),
            }),
            (false, Some(name), None, environment) => {
                let project = projects::find(control, name).await?;
                projects::usable(control, &project).await?;
                let (scope, words) = match environment {
                    None => (Scope::Project(project.id), format!("the project '{}'", project.name)),
                    Some(stage) => {
                        (Scope::Environment(project.id, stage), format!("{stage} of the project '{}'", project.name))
                    }
                };
                Ok(Self { scope, project: Some(project.id), environment, key: None, words })
            }
            (false, None, Some(name), None) => {
                let row = keys::find(control, name).await?;
                control.trusted(&row).await?;
                if row.status == KeyStatus::Revoked {
                    return Err(ApiError::conflict(
                        "key_revoked",
                        format!("the key '{}' was revoked, which is final", row.name),
                    ));
                }
                Ok(Self::of_key(&row))
            }
            (false, None, None, Some(_)) => {
                Err(ApiError::invalid("invalid_scope", "environment needs a project: environments belong to one"))
            }
            (false, None, None, None) => Err(scope_needed("a budget needs a scope")),
            _ => Err(scope_needed("a budget has one scope")),
        }
    }

    /// A key's own.
    pub(crate) fn of_key(row: &KeyRow) -> Self {
        Self {
            scope: Scope::Key(row.id),
            project: Some(row.project),
            environment: Some(row.environment),
            key: Some(row.id),
            words: format!("the key '{}'", row.name),
        }
    }

    fn filter(&self) -> BudgetFilter {
        BudgetFilter {
            project: self.project,
            environment: self.environment,
            key: self.key,
            scope: Some(self.scope.kind().to_owned()),
            status: Some(ACTIVE.to_owned()),
        }
    }
}

fn scope_needed(detail: &str) -> ApiError {
    ApiError::invalid("invalid_scope", format!("{detail}: name one of organisation, project and key"))
        .hint("a project may come with an environment; a key's project is known")
}

/// Reads a limit: one text, or amount and window.
///
/// # Errors
/// 400 when it is none.
pub(super) fn limit_of(limit: Option<&str>, usd: Option<&str>, window: Option<&str>) -> Answer<Limit> {
    match (limit, usd, window) {
        (Some(limit), None, None) => limit.parse().map_err(bad_limit),
        (None, Some(usd), Some(window)) => {
            let amount: Money = usd.parse().map_err(|_| bad_limit(BadLimit::Amount))?;
            let window = window.parse().map_err(|error| bad_limit(BadLimit::Window(error)))?;
            if amount > Money::ZERO { Ok(Limit { amount, window }) } else { Err(bad_limit(BadLimit::Amount)) }
        }
        _ => Err(ApiError::invalid("invalid_limit", "give limit, or limit_usd and window")
            .hint("for example \"limit\": \"5 USD/month\", or \"limit_usd\": \"5\", \"window\": \"month\"")),
    }
}

fn bad_limit(error: BadLimit) -> ApiError {
    // What was sent is said back only as far as it could not be a key in the wrong place.
    let error = match error {
        BadLimit::Window(BadWindow::Shape(text)) => BadLimit::Window(BadWindow::Shape(shown(&text))),
        BadLimit::Window(BadWindow::Zone(text)) => BadLimit::Window(BadWindow::Zone(shown(&text))),
        other => other,
    };
    ApiError::invalid("invalid_limit", error.to_string())
}

/// Reads thresholds: in rising order, each once.
///
/// # Errors
/// 400 when one is no percentage, or when they are too many.
pub(super) fn thresholds_of(asked: Option<Vec<u32>>) -> Answer<Vec<u8>> {
    let Some(asked) = asked else { return Ok(THRESHOLDS.to_vec()) };
    let percent = |value: &u32| u8::try_from(*value).ok().filter(|value| (1..=100).contains(value));
    let mut thresholds: Vec<u8> = asked.iter().filter_map(percent).collect();
    if thresholds.len() != asked.len() || asked.len() > MOST_THRESHOLDS {
        return Err(ApiError::invalid(
            "invalid_thresholds",
            format!("thresholds are whole percentages from 1 to 100, at most {MOST_THRESHOLDS} of them"),
        ));
    }
    thresholds.sort_unstable();
    thresholds.dedup();
    Ok(thresholds)
}

/// Adds a budget within a write. What it says about itself is to be committed with it.
///
/// # Errors
/// 409 when the scope has a budget for this window already, or too many budgets.
pub(crate) async fn insert(
    control: &Control,
    write: &mut Write,
    place: Place,
    draft: Draft,
    reason: Option<String>,
) -> Answer<(BudgetRow, Change)> {
    let most = u32::try_from(MOST).unwrap_or(u32::MAX);
    let others = control.store().budgets(&place.filter(), None, most).await?;
    let same = |row: &&BudgetRow| row.window.parse::<Window>().is_ok_and(|window| window.is_same(&draft.limit.window));
    if let Some(other) = others.iter().find(same) {
        return Err(ApiError::conflict(
            "budget_exists",
            format!(
                "{} has a budget for this window already: {} USD/{} ({})",
                place.words,
                other.limit(),
                other.window,
                other.id
            ),
        )
        .hint("change its limit: what was used of it stays used"));
    }
    if others.len() >= MOST {
        return Err(ApiError::conflict("too_many_budgets", format!("{} has {MOST} budgets already", place.words))
            .hint("archive one that is not needed: keyward budget list"));
    }
    let now = write.now();
    let row = BudgetRow {
        id: control.new_id(BudgetId::new)?,
        scope: place.scope.kind().to_owned(),
        project: place.project,
        environment: place.environment,
        key: place.key,
        amount: draft.limit.amount.nano(),
        window: draft.limit.window.to_string(),
        thresholds: serde_json::to_string(&draft.thresholds).map_err(ApiError::internal)?,
        status: ACTIVE.to_owned(),
        created_at: now,
        updated_at: now,
        archived_at: None,
        row_version: 1,
        mac: Vec::new(),
    };
    let row = sealed(control, row);
    write.insert_budget(&row).await?;
    let said = change("budget.create", &row, Value::Null, summary(&row), reason);
    Ok((row, said))
}

/// Refuses budgets of one scope whose windows are the same.
///
/// # Errors
/// 400 when two are, or when they are too many.
pub(crate) fn apart(drafts: &[Draft]) -> Answer<()> {
    let twice = |index: usize, one: &Draft| {
        drafts.iter().skip(index + 1).any(|other| one.limit.window.is_same(&other.limit.window))
    };
    if drafts.iter().enumerate().any(|(index, draft)| twice(index, draft)) {
        return Err(ApiError::invalid("invalid_limit", "two budgets are for the same window: the lower one is enough"));
    }
    if drafts.len() > MOST {
        return Err(ApiError::invalid("invalid_limit", format!("a key has at most {MOST} budgets")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_one_text_or_two_fields() {
        let same = [limit_of(Some("5 USD/month"), None, None), limit_of(None, Some("5"), Some("month"))];
        for limit in same {
            assert_eq!(limit.unwrap().to_string(), "5 USD/month");
        }
        let secret = "k".repeat(40);
        for (limit, usd, window) in [
            (None, None, None),
            (Some("5 USD/month"), Some("5"), None),
            (Some("5 USD/month"), None, Some("month")),
            (None, Some("5"), None),
            (None, None, Some("month")),
            (Some("NaN USD/month"), None, None),
            (Some("-5 USD/month"), None, None),
            (Some("inf USD/month"), None, None),
            (Some("0 USD/month"), None, None),
            (Some("99999999999 USD/month"), None, None),
            (Some("5 USD/month Mars/Base"), None, None),
            (Some("5 USD/fortnight"), None, None),
            (Some("5 EUR/month"), None, None),
            (None, Some("-1"), Some("month")),
            (None, Some("1e30"), Some("month")),
            (None, Some("5"), Some(secret.as_str())),
        ] {
            let error = limit_of(limit, usd, window).unwrap_err();
            assert_eq!(error.code(), "invalid_limit", "{limit:?} {usd:?} {window:?}");
            assert!(!error.to_string().contains(&secret), "{error}");
        }
    }

    #[test]
    fn thresholds_are_percentages_in_order() {
        assert_eq!(thresholds_of(None).unwrap(), [50, 80, 100]);
        assert_eq!(thresholds_of(Some(vec![90, 10, 90])).unwrap(), [10, 90]);
        assert_eq!(thresholds_of(Some(Vec::new())).unwrap(), Vec::<u8>::new());
        for bad in [vec![0], vec![101], vec![300], vec![5; 17]] {
            assert_eq!(thresholds_of(Some(bad)).unwrap_err().code(), "invalid_thresholds");
        }
    }

    #[test]
    fn two_budgets_for_one_window_are_a_mistake() {
        let drafts = |texts: &[&str]| texts.iter().map(|text| Draft::of(text).unwrap()).collect::<Vec<_>>();
        assert!(apart(&drafts(&["5 USD/month", "1 USD/hour"])).is_ok());
        assert!(apart(&drafts(&["5 USD/month", "1 USD/month UTC"])).is_err());
    }
}
