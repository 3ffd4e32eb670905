//! A provider and its operations with everything prepared that a call needs: the router, the request fields to look
//! for, the answer fields to read.

use super::Router;
use crate::{inspect::RequestPlan, meter::AnswerPlan};
use keyward_domain::provider::{Dialect, Operation, Provider};
use std::sync::Arc;

/// A provider, prepared.
#[derive(Debug)]
pub struct ProviderPlan {
    /// The descriptor.
    pub provider: Arc<Provider>,
    /// Its operations by method and path.
    pub router: Router,
}

/// An operation, prepared.
#[derive(Debug)]
pub struct OperationPlan {
    /// The operation as the catalogue has it.
    pub operation: Operation,
    /// The provider it belongs to.
    pub provider: Arc<Provider>,
    /// The shape of error answers.
    pub dialect: Dialect,
    /// What to look for in a request.
    pub request: RequestPlan,
    /// What to read from an answer.
    pub answer: Arc<AnswerPlan>,
}

impl ProviderPlan {
    /// Prepares a provider.
    #[must_use]
    pub fn new(provider: &Arc<Provider>) -> Self {
        let operations: Vec<_> =
            provider.operations.iter().map(|operation| Arc::new(OperationPlan::new(provider, operation))).collect();
        Self { provider: Arc::clone(provider), router: Router::new(&operations) }
    }

    /// What stands for the API root on the gateway, such as `/openai/v1`; never ends in a slash.
    #[must_use]
    pub fn root(&self) -> &str {
        self.provider.api.root.trim_end_matches('/')
    }
}

impl OperationPlan {
    /// Prepares an operation.
    #[must_use]
    pub fn new(provider: &Arc<Provider>, operation: &Operation) -> Self {
        Self {
            operation: operation.clone(),
            provider: Arc::clone(provider),
            dialect: operation.dialect.unwrap_or(provider.api.dialect),
            request: RequestPlan::new(provider, operation),
            answer: Arc::new(AnswerPlan::new(provider, operation)),
        }
    }
}
