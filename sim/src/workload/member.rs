//! A member of a consumer group: the application that runs on its node, or the testbed's own.

use std::sync::Arc;

use crate::app::{AppContext, Application, Place};

/// One life of a member's process.
pub(super) async fn live(place: Place, application: Option<Arc<dyn Application>>) {
    place.shared.begin(&place.member);
    let context = AppContext::new(place);
    let ended = match application {
        Some(application) => application.run(context.clone()).await,
        None => consume(context.clone()).await,
    };
    if let Err(error) = ended {
        context.report(format!("its process ended: {error:#}"));
    }
}

/// The testbed's own application.
async fn consume(context: AppContext) -> anyhow::Result<()> {
    context.asked_to_leave().await;
    Ok(())
}
