//! The inviter's side: devices that ask to be let in.

use covey_net::NetStream;
use covey_pair::{Inviter, InviterOutcome, Refusal, Terms};
use covey_space::{JoinRequest, Role, Welcome};
use covey_types::DeviceId;

use super::{Failure, PAIRING_TIMEOUT, PROTOCOL, receive, send};
use crate::{Node, NodeError};

/// Accepts the streams of devices that want to join.
pub(crate) fn accept(node: Node) -> Result<impl Future<Output = ()>, covey_net::NetError> {
    let mut incoming = node.0.net.accept(PROTOCOL)?;
    Ok(async move {
        while let Some((joiner, mut stream)) = incoming.next().await {
            let node_of_task = node.clone();
            node.spawn(async move {
                let Some(_turn) = node_of_task.0.pairing.turn(joiner) else {
                    let _ = send(&mut stream, &Inviter::refusal(Refusal::Busy)).await;
                    return;
                };
                let paired =
                    tokio::time::timeout(PAIRING_TIMEOUT, answer(&node_of_task, joiner, &mut stream)).await;
                match paired {
                    Ok(Ok(())) => {}
                    Ok(Err(Failure::Broken(reason))) => tracing::warn!(%joiner, reason, "a pairing failed"),
                    Ok(Err(Failure::Misbehaved(reason))) => {
                        let peers = &node_of_task.0.peers;
                        peers.misbehaved(&node_of_task, joiner, format!("pairing: {reason}")).await;
                    }
                    Err(_) => tracing::warn!(%joiner, "a pairing took too long"),
                }
            });
        }
    })
}

/// The inviter's side of one pairing.
async fn answer(node: &Node, joiner: DeviceId, stream: &mut NetStream) -> Result<(), Failure> {
    let mut inviter = Inviter::new(node.device(), joiner);
    loop {
        let message = receive(stream).await?;
        let step = {
            let mut invitations = node.0.pairing.invitations();
            inviter.handle(&message, &mut invitations, node.now_ms())?
        };
        if let Some(message) = step.send {
            send(stream, &message).await?;
        }
        match step.outcome {
            None => {}
            Some(InviterOutcome::Request { terms, request, .. }) => {
                let reply = match admit(node, joiner, terms, &request).await {
                    Ok((welcome, terms)) => inviter.accept(&welcome, terms)?,
                    Err(err) => {
                        tracing::error!(%joiner, %err, "could not let a device in");
                        inviter.decline()?
                    }
                };
                send(stream, &reply).await?;
            }
            Some(InviterOutcome::WrongGuess { burnt, .. }) => {
                let consequence = if burnt { "the code is burnt" } else { "the code stays open" };
                return Err(Failure::Broken(format!("it guessed a code wrongly; {consequence}")));
            }
            Some(InviterOutcome::Refused(refusal)) => {
                tracing::debug!(%joiner, %refusal, "refused a pairing");
                return Ok(());
            }
            Some(InviterOutcome::Finished) => return Ok(()),
        }
    }
}

/// Writes the joiner into the space and makes its welcome; the terms say the role that it has now.
///
/// A member that comes again keeps the higher of its role and the one that it is invited to.
async fn admit(
    node: &Node,
    joiner: DeviceId,
    terms: Terms,
    request: &[u8],
) -> Result<(Vec<u8>, Terms), NodeError> {
    let request = JoinRequest::decode(request).map_err(|err| NodeError::Invalid(err.to_string()))?;
    if request.device.cert.device != joiner {
        return Err(NodeError::Invalid("the certificate is of another device than the one that asks".into()));
    }
    let invited = Role::from_u8(terms.role).ok_or_else(|| NodeError::Internal("an unknown role".into()))?;
    let (secrets, now, id) = (node.0.secrets.clone(), node.now_ms(), terms.space);
    let (already, raised) = {
        let engine = node.engine();
        let membership = &engine.space(id)?.membership;
        let same_user = membership.user_of(joiner) == Some(request.device.cert.user);
        (membership.has_device(joiner), same_user && membership.role_of(joiner) < Some(invited))
    };
    if !already || raised {
        let JoinRequest { user_name, device } = request;
        let admitted = node
            .write(move |tx, engine| Ok(engine.admit(tx, &secrets, id, &user_name, invited, &device, now)?));
        let (entry, outcome) = admitted.await?;
        node.acted(id, entry, &outcome);
        tracing::info!(space = %id, %joiner, role = %invited, raised, "let a device in");
    }
    let addresses = node.0.net.listen_addrs().await.iter().map(ToString::to_string).collect();
    let engine = node.engine();
    let state = engine.space(id)?;
    let role = state.membership.role_of(joiner).unwrap_or(invited);
    let epoch = state
        .membership
        .current_epoch()
        .ok_or_else(|| NodeError::NotReady { space: state.name().to_owned() })?;
    let welcome = Welcome {
        space: id,
        name: state.name().to_owned(),
        role,
        keys: state.info.keys.for_joining(epoch),
        inviter_name: node.0.secrets.profile.user_name.clone(),
        inviter: node.0.secrets.certified(),
        addresses,
    };
    Ok((welcome.encode(), Terms { role: role.to_u8(), ..terms }))
}
