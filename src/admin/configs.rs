//! Reads the settings of topics and brokers (DescribeConfigs).

use super::{Admin, AdminError, of_request};
use crate::client::AskError;
use crate::protocol::ErrorCode;
use crate::protocol::messages::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
};
use crate::runtime::clock;
use crate::types::BrokerId;

/// Whose settings [`Admin::describe_configs`] reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigResource {
    Topic(String),
    Broker(BrokerId),
}

/// One setting with its value as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Kafka's name of it.
    pub name: String,
    /// `None`: there is none, or it is not told.
    pub value: Option<String>,
    pub source: ConfigSource,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// The topic's own.
    Topic,
    /// The broker's configuration file.
    Broker,
    Default,
    /// Any other of Kafka's, by its number.
    Other(i8),
}

impl Admin {
    /// The settings of a topic or of a broker, in the order in which the broker tells them.
    ///
    /// ```no_run
    /// use seedlog::admin::{Admin, AdminError, ConfigResource};
    /// use seedlog::types::BrokerId;
    ///
    /// # async fn example(admin: &Admin) -> Result<(), AdminError> {
    /// for entry in admin.describe_configs(&ConfigResource::Broker(BrokerId(1))).await? {
    ///     println!("{} = {}", entry.name, entry.value.unwrap_or_default());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn describe_configs(&self, resource: &ConfigResource) -> Result<Vec<ConfigEntry>, AdminError> {
        let asked = DescribeConfigsResource {
            resource_type: resource.wire_type(),
            resource_name: resource.wire_name(),
            configuration_keys: None,
        };
        let request = DescribeConfigsRequest { resources: vec![asked], ..Default::default() };
        let timeout = self.config.timeout;
        let answer = async {
            match resource {
                ConfigResource::Topic(_) => self.cluster.ask_any(&request).await.map_err(of_question),
                ConfigResource::Broker(broker) => self.ask_broker(*broker, &request).await,
            }
        };
        let answered = clock::timeout(timeout, answer).await;
        let response = answered.map_err(|elapsed| AdminError::Unavailable(elapsed.to_string()))??;
        described(resource, response)
    }

    /// A broker tells of itself alone.
    async fn ask_broker(
        &self,
        broker: BrokerId,
        request: &DescribeConfigsRequest,
    ) -> Result<DescribeConfigsResponse, AdminError> {
        let unavailable = |reason: String| AdminError::Unavailable(reason);
        self.cluster.refresh().await.map_err(|error| unavailable(error.to_string()))?;
        let connection = self.cluster.connection(broker).await.map_err(|e| unavailable(e.to_string()))?;
        connection.call(request, self.config.timeout).await.map_err(of_request)
    }
}

impl ConfigResource {
    fn wire_type(&self) -> i8 {
        match self {
            ConfigResource::Topic(_) => 2,
            ConfigResource::Broker(_) => 4,
        }
    }

    fn wire_name(&self) -> String {
        match self {
            ConfigResource::Topic(name) => name.clone(),
            ConfigResource::Broker(broker) => broker.to_string(),
        }
    }
}

fn of_question(error: AskError) -> AdminError {
    match error {
        AskError::NoBroker(error) => AdminError::Unavailable(error.to_string()),
        AskError::Unsupported { .. } => AdminError::Refused(error.to_string()),
    }
}

fn described(
    resource: &ConfigResource,
    response: DescribeConfigsResponse,
) -> Result<Vec<ConfigEntry>, AdminError> {
    let name = resource.wire_name();
    let mut results = response.results.into_iter();
    let result = results.find(|result| result.resource_name == name);
    let result = result.ok_or_else(|| AdminError::Unavailable(format!("nothing was said about {name}")))?;
    let text = |code: ErrorCode| match &result.error_message {
        Some(message) => format!("{code}: {message}"),
        None => code.to_string(),
    };
    match ErrorCode(result.error_code) {
        ErrorCode::NONE => Ok(result.configs.into_iter().map(entry).collect()),
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => Err(AdminError::Unknown(name)),
        code if code.is_retriable() => Err(AdminError::Unavailable(text(code))),
        code => Err(AdminError::Refused(text(code))),
    }
}

fn entry(told: DescribeConfigsResourceResult) -> ConfigEntry {
    let source = match told.config_source {
        1 => ConfigSource::Topic,
        4 => ConfigSource::Broker,
        5 => ConfigSource::Default,
        other => ConfigSource::Other(other),
    };
    ConfigEntry { name: told.name, value: told.value, source }
}
