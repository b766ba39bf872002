//! One set of services, and one stack, for all tests of a program.
//!
//! Every `#[tokio::test]` has a runtime of its own that ends with it, and takes its tasks along. What several tests use has to
//! live on another one, which ends with the program.

use std::sync::{Arc, LazyLock};

use anyhow::Result;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use crate::services::Services;
use crate::stack::{Options, Stack};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Runtime::new().expect("the system gives threads to a test"));
static SERVICES: OnceCell<Arc<Services>> = OnceCell::const_new();
static STACK: OnceCell<Arc<Stack>> = OnceCell::const_new();

/// The services of this program, started at the first call.
pub async fn services() -> Result<Arc<Services>> {
    let start = async || {
        RUNTIME
            .spawn(async { Services::start().await.map(Arc::new) })
            .await?
    };
    SERVICES.get_or_try_init(start).await.cloned()
}

/// The stack of this program, on its services, started at the first call.
pub async fn stack() -> Result<Arc<Stack>> {
    let start = async || {
        let services = services().await?;
        RUNTIME
            .spawn(async {
                Stack::start_on(services, Options::default())
                    .await
                    .map(Arc::new)
            })
            .await?
    };
    STACK.get_or_try_init(start).await.cloned()
}
