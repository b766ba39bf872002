use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_sesv2::config::{Credentials, SharedCredentialsProvider};
use local::{aws::REGION, services::Services, template::Template};
use std::{
    ops::Deref,
    sync::{Arc, LazyLock},
};
use tokio::{runtime::Runtime, sync::OnceCell};

/// Runs a test on the one runtime of all tests: what one of them leaves running, connections for
/// instance, serves the next.
pub fn run(test: impl Future<Output = ()>) {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime starts"));
    RUNTIME.block_on(test);
}

/// What the tests of one program share: a PostgreSQL server, AWS, and the routes. It ends with the
/// program.
pub struct Shared {
    /// The server and AWS.
    pub services: Arc<Services>,
    /// The routes and the functions behind them.
    pub template: Template,
}

/// What the tests share, started by whoever asks first. A test that can't have it fails.
pub async fn shared() -> &'static Shared {
    static SHARED: OnceCell<Shared> = OnceCell::const_new();
    let start = async || {
        let services = Services::start()
            .await
            .expect("the tests need PostgreSQL and moto");
        let template =
            Template::read(&services.workspace.root).expect("template.yaml has the routes");
        Shared {
            services: Arc::new(services),
            template,
        }
    };
    SHARED.get_or_init(start).await
}

impl Deref for Shared {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
}

impl Shared {
    /// The SDK's configuration that leads to the emulation of AWS, or to another endpoint.
    #[must_use]
    pub fn sdk_config(&self, endpoint: Option<&str>) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            // What can't be reached is not there: nothing is gained by asking twice.
            .retry_config(RetryConfig::disabled())
            .region(Region::new(REGION))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "local", "local", None, None, "tests",
            )))
            .endpoint_url(endpoint.map_or_else(|| self.aws.endpoint(), str::to_owned))
            .build()
    }
}
