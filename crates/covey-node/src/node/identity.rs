//! Who a node is: read or made when its home is opened, and replaced when a name changes or the device becomes another
//! user's.

use std::sync::{Arc, PoisonError};

use covey_engine::Secrets;
use covey_store::{Store, StoreError};

use crate::{Identity, Node, NodeConfig, OpenError};

impl Node {
    /// The secrets and names as they are now.
    pub(crate) fn secrets(&self) -> Arc<Secrets> {
        Arc::clone(&self.0.secrets.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Uses other secrets or names from now on; they are in the store.
    pub(crate) fn set_secrets(&self, secrets: Secrets) {
        *self.0.secrets.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(secrets);
    }
}

/// The store of a home with an identity and a personal space, which are made if they aren't there.
pub(super) async fn open_store(config: &NodeConfig) -> Result<(Store, Secrets), OpenError> {
    let (home, unlock) = (config.home.clone(), config.unlock.clone());
    let store = tokio::task::spawn_blocking(move || Store::open(&home, unlock))
        .await
        .map_err(|_| StoreError::Closed)??;
    let secrets = identity(&store, config).await?;
    if store.read(|reader| covey_engine::personal_space(reader)).await?.is_some() {
        return Ok((store, secrets));
    }
    let (mine, now) = (secrets.clone(), config.clock.now_ms());
    store.write(move |tx| crate::own::ensure_personal(tx, &mine, now)).await.map_err(OpenError::Write)?;
    Ok((store, secrets))
}

/// The identity in a store; a new one if there is none.
async fn identity(store: &Store, config: &NodeConfig) -> Result<Secrets, OpenError> {
    if let Some(secrets) = store.read(|reader| Secrets::load(reader)).await? {
        return Ok(secrets);
    }
    let profile = config.profile.clone().ok_or_else(|| OpenError::NoProfile { home: config.home.clone() })?;
    let secrets = Secrets::generate(profile).map_err(OpenError::Profile)?;
    let saved = secrets.clone();
    store.write(move |tx| saved.save(tx)).await.map_err(OpenError::Write)?;
    Ok(secrets)
}

/// What others may know of an identity.
pub(crate) fn public(secrets: &Secrets) -> Identity {
    Identity {
        user: secrets.user.id(),
        user_name: secrets.profile.user_name.clone(),
        device: secrets.device.id(),
        device_name: secrets.profile.device_name.clone(),
    }
}
