//! The calls of the admin service, as its protocol names them; what each does stands in a file of its own.

use std::{pin::Pin, sync::Arc};

use api::admin::v1::{
    AuditEntry, AuditListRequest, BackupRequest, ClusterAddRequest, ClusterChangeResponse,
    ClusterRemoveRequest, ClusterSnapshotRequest, ClusterSnapshotResponse, ClusterStatusRequest,
    ClusterStatusResponse, ClusterVerifyRequest, DoctorRequest, DomainListRequest,
    DomainListResponse, DomainPauseRequest, DomainPauseResponse, DomainProbeRequest,
    DomainProbeStep, DomainResumeRequest, DomainResumeResponse, DrillRequest, DrillStep, Finding,
    FlushRequest, FlushResponse, KnownRecipient, LogLevelRequest, LogLevelResponse,
    NodeAddressesRequest, NodeAddressesResponse, OutageListRequest, OutageListResponse,
    PolicyApplyRequest, PolicyApplyResponse, PolicyShowRequest, PolicyShowResponse,
    QueueChangeRequest, QueueChangeResponse, QueueEntry, QueueExportRequest, QueueListRequest,
    QueueShowRequest, QueueShowResponse, QueueSummaryRequest, QueueSummaryResponse,
    RecipientsAddRequest, RecipientsChangeResponse, RecipientsForgetRequest, RecipientsListRequest,
    ReplayProgress, ReplayRequest, Replica, StatusRequest, StatusResponse, TraceRequest,
    TraceResponse, TransferLeaderRequest, admin_server::Admin,
};
use api::copy::v1::BackupChunk;
use cluster::Change;
use futures::{Stream, StreamExt as _};
use spool::policy::domain_named;
use tonic::{Request, Response, Status};

use super::{
    AdminService, Exported, HEADER_BYTES_MAX, answer, audit, backup, change, delivery, domain,
    export, flush, id_of, level, list, membership, pause, policy, recipients, refused, replay,
    summary, trace, trouble,
};
use crate::readiness;

/// In the metadata of a list of recipients: how many the policy lists.
const LISTED: &str = "layover-listed";

type Entries = Pin<Box<dyn Stream<Item = Result<QueueEntry, Status>> + Send>>;

type ProbeSteps = Pin<Box<dyn Stream<Item = Result<DomainProbeStep, Status>> + Send>>;

type Changed = Pin<Box<dyn Stream<Item = Result<QueueChangeResponse, Status>> + Send>>;

type Summaries = Pin<Box<dyn Stream<Item = Result<QueueSummaryResponse, Status>> + Send>>;

type AuditEntries = Pin<Box<dyn Stream<Item = Result<AuditEntry, Status>> + Send>>;

type KnownRecipients = Pin<Box<dyn Stream<Item = Result<KnownRecipient, Status>> + Send>>;

type Replays = Pin<Box<dyn Stream<Item = Result<ReplayProgress, Status>> + Send>>;

type Findings = Pin<Box<dyn Stream<Item = Result<Finding, Status>> + Send>>;

type DrillSteps = Pin<Box<dyn Stream<Item = Result<DrillStep, Status>> + Send>>;

type Replicas = Pin<Box<dyn Stream<Item = Result<Replica, Status>> + Send>>;

type Chunks = Pin<Box<dyn Stream<Item = Result<BackupChunk, Status>> + Send>>;

#[tonic::async_trait]
impl Admin for AdminService {
    async fn status(
        &self,
        _request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        let (cluster, ends) = tokio::join!(self.cluster.status(), self.cluster.certificates());
        let domains = self.domains(&cluster.courses).await?;
        let alarms = self.alarms();
        let obstacle = readiness::obstacle(&self.cluster);
        let history = self.cluster.history();
        let now = self.clock.now();
        Ok(Response::new(StatusResponse {
            now_ms: now.0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname: self.hostname.clone(),
            troubles: trouble::troubles(
                &cluster,
                obstacle.as_deref(),
                &trouble::of_certificates(&ends, now),
                &domains,
                &alarms,
            ),
            alarms: alarms.into_iter().map(delivery::alarm).collect(),
            cluster: Some(answer::cluster(&cluster, &ends)),
            domains,
            retained_messages: history.retained,
            retained_bytes: history.retained_octets,
            history_messages: history.rows,
        }))
    }

    type QueueListStream = Entries;

    async fn queue_list(
        &self,
        request: Request<QueueListRequest>,
    ) -> Result<Response<Entries>, Status> {
        let now = self.clock.now();
        let entries = list::list(&self.cluster, request.into_inner(), now)?;
        Ok(Response::new(Box::pin(entries)))
    }

    async fn queue_show(
        &self,
        request: Request<QueueShowRequest>,
    ) -> Result<Response<QueueShowResponse>, Status> {
        let message = self.message(&request.into_inner().id).await?;
        let head = self
            .cluster
            .head(&message, HEADER_BYTES_MAX)
            .await
            .map_err(refused)?;
        let expiry = self.cluster.expiry(&message).await.map_err(refused)?;
        Ok(Response::new(QueueShowResponse {
            expiry: expiry.map(|expiry| answer::expiry(expiry, self.clock.now())),
            ..answer::message(&message, &head, HEADER_BYTES_MAX)
        }))
    }

    type QueueChangeStream = Changed;

    async fn queue_change(
        &self,
        request: Request<QueueChangeRequest>,
    ) -> Result<Response<Changed>, Status> {
        let by = audit::asker(&request);
        let now = self.clock.now();
        let changed = change::change(&self.cluster, request.into_inner(), by, now).await?;
        Ok(Response::new(Box::pin(changed)))
    }

    type QueueSummaryStream = Summaries;

    async fn queue_summary(
        &self,
        _request: Request<QueueSummaryRequest>,
    ) -> Result<Response<Summaries>, Status> {
        let summary = summary::summary(&self.cluster, self.clock.now());
        Ok(Response::new(Box::pin(summary)))
    }

    type QueueExportStream = Exported;

    async fn queue_export(
        &self,
        request: Request<QueueExportRequest>,
    ) -> Result<Response<Exported>, Status> {
        let message = self.message(&request.into_inner().id).await?;
        let chunks = export::chunks(&self.cluster, message);
        Ok(Response::new(Box::pin(chunks)))
    }

    async fn domain_pause(
        &self,
        request: Request<DomainPauseRequest>,
    ) -> Result<Response<DomainPauseResponse>, Status> {
        let by = audit::asker(&request);
        let now = self.clock.now();
        let paused = pause::pause(&self.cluster, request.into_inner(), by, now).await?;
        Ok(Response::new(paused))
    }

    async fn domain_resume(
        &self,
        request: Request<DomainResumeRequest>,
    ) -> Result<Response<DomainResumeResponse>, Status> {
        let by = audit::asker(&request);
        let resumed = pause::resume(&self.cluster, request.into_inner(), by).await?;
        Ok(Response::new(resumed))
    }

    async fn outage_list(
        &self,
        request: Request<OutageListRequest>,
    ) -> Result<Response<OutageListResponse>, Status> {
        let listed = self.outages(request.into_inner()).await?;
        Ok(Response::new(listed))
    }

    type AuditListStream = AuditEntries;

    async fn audit_list(
        &self,
        request: Request<AuditListRequest>,
    ) -> Result<Response<AuditEntries>, Status> {
        let entries = audit::list(&self.cluster, &request.into_inner());
        Ok(Response::new(Box::pin(entries)))
    }

    async fn trace(
        &self,
        request: Request<TraceRequest>,
    ) -> Result<Response<TraceResponse>, Status> {
        let id = id_of(&request.into_inner().id)?;
        let response = trace::trace(&self.cluster, &self.routes, id, self.clock.now()).await?;
        Ok(Response::new(response))
    }

    type ReplayStream = Replays;

    async fn replay(&self, request: Request<ReplayRequest>) -> Result<Response<Replays>, Status> {
        let by = audit::asker(&request);
        let replay = replay::replay(&self.cluster, request.into_inner(), by).await?;
        Ok(Response::new(Box::pin(replay)))
    }

    async fn flush(
        &self,
        request: Request<FlushRequest>,
    ) -> Result<Response<FlushResponse>, Status> {
        let by = audit::asker(&request);
        let flushed = flush::flush(&self.cluster, request.into_inner(), by).await?;
        Ok(Response::new(flushed))
    }

    async fn domain_list(
        &self,
        _request: Request<DomainListRequest>,
    ) -> Result<Response<DomainListResponse>, Status> {
        let courses = self.cluster.status().await.courses;
        let statuses = self.domains(&courses).await?;
        let domains = domain::list(&self.cluster, &self.routes, statuses).await;
        Ok(Response::new(DomainListResponse {
            now_ms: self.clock.now().0,
            domains,
        }))
    }

    type DomainProbeStream = ProbeSteps;

    async fn domain_probe(
        &self,
        request: Request<DomainProbeRequest>,
    ) -> Result<Response<ProbeSteps>, Status> {
        let name = domain_named(&request.into_inner().domain);
        let policy = recipients::policy_with(&self.cluster, &name)?;
        let routes = Arc::clone(&self.routes);
        let steps = domain::probe(&policy, &name, routes, self.hostname.clone());
        Ok(Response::new(Box::pin(steps)))
    }

    type RecipientsListStream = KnownRecipients;

    async fn recipients_list(
        &self,
        request: Request<RecipientsListRequest>,
    ) -> Result<Response<KnownRecipients>, Status> {
        let domain = request.into_inner().domain;
        let known = recipients::list(&self.cluster, &domain)?;
        let mut response: Response<KnownRecipients> = Response::new(Box::pin(known));
        if let Some(listed) = recipients::listed(&self.cluster, &domain) {
            response.metadata_mut().insert(LISTED, listed.into());
        }
        Ok(response)
    }

    async fn recipients_add(
        &self,
        request: Request<RecipientsAddRequest>,
    ) -> Result<Response<RecipientsChangeResponse>, Status> {
        let by = audit::asker(&request);
        let domain = domain_named(&request.get_ref().domain);
        let added = recipients::add(&self.cluster, request.into_inner()).await?;
        recipients::note(&self.cluster, by, "add", &domain, &added).await;
        Ok(Response::new(added))
    }

    async fn recipients_forget(
        &self,
        request: Request<RecipientsForgetRequest>,
    ) -> Result<Response<RecipientsChangeResponse>, Status> {
        let by = audit::asker(&request);
        let domain = domain_named(&request.get_ref().domain);
        let forgotten = recipients::forget(&self.cluster, request.into_inner()).await?;
        recipients::note(&self.cluster, by, "forget", &domain, &forgotten).await;
        Ok(Response::new(forgotten))
    }

    type DoctorStream = Findings;

    async fn doctor(&self, request: Request<DoctorRequest>) -> Result<Response<Findings>, Status> {
        let domain = request.into_inner().domain;
        let domain = domain.as_deref().map(domain_named);
        let findings = self.examine(domain).await?;
        Ok(Response::new(Box::pin(findings)))
    }

    type DrillStream = DrillSteps;

    async fn drill(&self, request: Request<DrillRequest>) -> Result<Response<DrillSteps>, Status> {
        let steps = self.hold_drill(request.into_inner())?;
        Ok(Response::new(Box::pin(steps)))
    }

    async fn node_addresses(
        &self,
        _request: Request<NodeAddressesRequest>,
    ) -> Result<Response<NodeAddressesResponse>, Status> {
        Ok(Response::new(self.addresses_of_nodes().await))
    }

    async fn cluster_status(
        &self,
        _request: Request<ClusterStatusRequest>,
    ) -> Result<Response<ClusterStatusResponse>, Status> {
        let (status, ends) = tokio::join!(self.cluster.status(), self.cluster.certificates());
        Ok(Response::new(answer::cluster(&status, &ends)))
    }

    async fn cluster_add(
        &self,
        request: Request<ClusterAddRequest>,
    ) -> Result<Response<ClusterChangeResponse>, Status> {
        let by = audit::asker(&request);
        let change = membership::addition(request.into_inner())?;
        membership::change(&self.cluster, change, by).await
    }

    async fn cluster_remove(
        &self,
        request: Request<ClusterRemoveRequest>,
    ) -> Result<Response<ClusterChangeResponse>, Status> {
        let by = audit::asker(&request);
        let id = request.into_inner().id;
        membership::change(&self.cluster, Change::Remove { id }, by).await
    }

    async fn transfer_leader(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<Response<ClusterChangeResponse>, Status> {
        let by = audit::asker(&request);
        let to = request.into_inner().id;
        membership::change(&self.cluster, Change::Transfer { to }, by).await
    }

    type ClusterVerifyStream = Replicas;

    async fn cluster_verify(
        &self,
        _request: Request<ClusterVerifyRequest>,
    ) -> Result<Response<Replicas>, Status> {
        let replicas = self.cluster.replicas().map(answer::replica).map(Ok);
        Ok(Response::new(Box::pin(replicas)))
    }

    async fn cluster_snapshot(
        &self,
        _request: Request<ClusterSnapshotRequest>,
    ) -> Result<Response<ClusterSnapshotResponse>, Status> {
        let snapshot = self.cluster.snapshot().await.map_err(refused)?;
        Ok(Response::new(ClusterSnapshotResponse {
            node_id: self.cluster.node_id(),
            snapshot_index: snapshot.index,
            purged_index: snapshot.purged_index,
            log_bytes: snapshot.log_bytes,
        }))
    }

    async fn log_level(
        &self,
        request: Request<LogLevelRequest>,
    ) -> Result<Response<LogLevelResponse>, Status> {
        level::log_level(&self.cluster, &self.shown, request).await
    }

    async fn policy_show(
        &self,
        _request: Request<PolicyShowRequest>,
    ) -> Result<Response<PolicyShowResponse>, Status> {
        Ok(Response::new(policy::show(&self.cluster)?))
    }

    async fn policy_apply(
        &self,
        request: Request<PolicyApplyRequest>,
    ) -> Result<Response<PolicyApplyResponse>, Status> {
        let by = audit::asker(&request);
        let applied = policy::apply(&self.cluster, request.into_inner(), by).await?;
        Ok(Response::new(applied))
    }

    type BackupStream = Chunks;

    async fn backup(&self, _request: Request<BackupRequest>) -> Result<Response<Chunks>, Status> {
        let backup = self.cluster.backup().await.map_err(refused)?;
        Ok(Response::new(Box::pin(backup::chunks(backup))))
    }
}
