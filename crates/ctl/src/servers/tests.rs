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
    TraceResponse, TransferLeaderRequest,
    admin_server::{Admin, AdminServer},
};
use api::copy::v1::{BackupChunk, ExportChunk};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_stream::Iter;
use tonic::{
    Request, Response,
    transport::{Server, server::TcpIncoming},
};

use super::*;

#[test]
fn an_address_needs_its_port() {
    for address in ["localhost", "", "a b:1", "::1"] {
        let error = endpoint(address, None).unwrap_err();
        assert!(error.is::<Usage>(), "{address}: {error}");
        let error = error.to_string();
        assert!(error.contains("127.0.0.1:7401"), "{address}: {error}");
    }
    for address in ["localhost:7401", "[::1]:7401"] {
        assert!(endpoint(address, None).is_ok(), "{address}");
    }
}

#[test]
fn the_tls_files_are_given_together() {
    let files = TlsFiles {
        tls_ca: Some("ca.pem".into()),
        ..TlsFiles::default()
    };
    let error = tls_config(&files).unwrap_err();
    assert!(error.is::<Usage>(), "{error}");
    assert!(error.to_string().contains("all three or none"), "{error}");
}

/// A node that answers everything with the same status, or is sound when there is none.
struct Node(Option<Status>);

impl Node {
    fn answer<T: Default>(&self) -> Result<Response<T>, Status> {
        match &self.0 {
            None => Ok(Response::new(T::default())),
            Some(status) => Err(status.clone()),
        }
    }
}

#[tonic::async_trait]
impl Admin for Node {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        self.answer()
    }

    type QueueListStream = Iter<std::vec::IntoIter<Result<QueueEntry, Status>>>;

    async fn queue_list(
        &self,
        _: Request<QueueListRequest>,
    ) -> Result<Response<Self::QueueListStream>, Status> {
        let entries = vec![
            Ok(QueueEntry::default()),
            Err(Status::internal("disk gone")),
        ];
        Ok(Response::new(tokio_stream::iter(entries)))
    }

    async fn queue_show(
        &self,
        _: Request<QueueShowRequest>,
    ) -> Result<Response<QueueShowResponse>, Status> {
        self.answer()
    }

    type QueueChangeStream = Iter<std::vec::IntoIter<Result<QueueChangeResponse, Status>>>;

    async fn queue_change(
        &self,
        _: Request<QueueChangeRequest>,
    ) -> Result<Response<Self::QueueChangeStream>, Status> {
        Ok(Response::new(tokio_stream::iter(Vec::new())))
    }

    type QueueSummaryStream = Iter<std::vec::IntoIter<Result<QueueSummaryResponse, Status>>>;

    async fn queue_summary(
        &self,
        _: Request<QueueSummaryRequest>,
    ) -> Result<Response<Self::QueueSummaryStream>, Status> {
        Ok(Response::new(tokio_stream::iter(Vec::new())))
    }

    type QueueExportStream = Iter<std::vec::IntoIter<Result<ExportChunk, Status>>>;

    async fn queue_export(
        &self,
        _: Request<QueueExportRequest>,
    ) -> Result<Response<Self::QueueExportStream>, Status> {
        Ok(Response::new(tokio_stream::iter(Vec::new())))
    }

    async fn domain_pause(
        &self,
        _: Request<DomainPauseRequest>,
    ) -> Result<Response<DomainPauseResponse>, Status> {
        self.answer()
    }

    async fn domain_resume(
        &self,
        _: Request<DomainResumeRequest>,
    ) -> Result<Response<DomainResumeResponse>, Status> {
        self.answer()
    }

    async fn outage_list(
        &self,
        _: Request<OutageListRequest>,
    ) -> Result<Response<OutageListResponse>, Status> {
        self.answer()
    }

    type AuditListStream = Iter<std::vec::IntoIter<Result<AuditEntry, Status>>>;

    async fn audit_list(
        &self,
        _: Request<AuditListRequest>,
    ) -> Result<Response<Self::AuditListStream>, Status> {
        Ok(Response::new(tokio_stream::iter(Vec::new())))
    }

    async fn trace(&self, _: Request<TraceRequest>) -> Result<Response<TraceResponse>, Status> {
        self.answer()
    }

    type ReplayStream = Iter<std::vec::IntoIter<Result<ReplayProgress, Status>>>;

    async fn replay(
        &self,
        _: Request<ReplayRequest>,
    ) -> Result<Response<Self::ReplayStream>, Status> {
        Ok(Response::new(tokio_stream::iter(Vec::new())))
    }

    async fn flush(&self, _: Request<FlushRequest>) -> Result<Response<FlushResponse>, Status> {
        self.answer()
    }

    async fn domain_list(
        &self,
        _: Request<DomainListRequest>,
    ) -> Result<Response<DomainListResponse>, Status> {
        self.answer()
    }

    type DomainProbeStream = Iter<std::vec::IntoIter<Result<DomainProbeStep, Status>>>;

    async fn domain_probe(
        &self,
        _: Request<DomainProbeRequest>,
    ) -> Result<Response<Self::DomainProbeStream>, Status> {
        Ok(Response::new(tokio_stream::iter(Vec::new())))
    }

    type DoctorStream = Iter<std::vec::IntoIter<Result<Finding, Status>>>;

    async fn doctor(
        &self,
        _: Request<DoctorRequest>,
    ) -> Result<Response<Self::DoctorStream>, Status> {
        Ok(Response::new(tokio_stream::iter(Vec::new())))
    }

    type DrillStream = Iter<std::vec::IntoIter<Result<DrillStep, Status>>>;

    async fn drill(&self, _: Request<DrillRequest>) -> Result<Response<Self::DrillStream>, Status> {
        Ok(Response::new(tokio_stream::iter(Vec::new())))
    }

    async fn node_addresses(
        &self,
        _: Request<NodeAddressesRequest>,
    ) -> Result<Response<NodeAddressesResponse>, Status> {
        self.answer()
    }

    type RecipientsListStream = Iter<std::vec::IntoIter<Result<KnownRecipient, Status>>>;

    async fn recipients_list(
        &self,
        _: Request<RecipientsListRequest>,
    ) -> Result<Response<Self::RecipientsListStream>, Status> {
        Ok(Response::new(tokio_stream::iter(Vec::new())))
    }

    async fn recipients_add(
        &self,
        _: Request<RecipientsAddRequest>,
    ) -> Result<Response<RecipientsChangeResponse>, Status> {
        self.answer()
    }

    async fn recipients_forget(
        &self,
        _: Request<RecipientsForgetRequest>,
    ) -> Result<Response<RecipientsChangeResponse>, Status> {
        self.answer()
    }

    async fn cluster_status(
        &self,
        _: Request<ClusterStatusRequest>,
    ) -> Result<Response<ClusterStatusResponse>, Status> {
        self.answer()
    }

    async fn cluster_add(
        &self,
        _: Request<ClusterAddRequest>,
    ) -> Result<Response<ClusterChangeResponse>, Status> {
        self.answer()
    }

    async fn cluster_remove(
        &self,
        _: Request<ClusterRemoveRequest>,
    ) -> Result<Response<ClusterChangeResponse>, Status> {
        self.answer()
    }

    async fn transfer_leader(
        &self,
        _: Request<TransferLeaderRequest>,
    ) -> Result<Response<ClusterChangeResponse>, Status> {
        self.answer()
    }

    async fn cluster_snapshot(
        &self,
        _: Request<ClusterSnapshotRequest>,
    ) -> Result<Response<ClusterSnapshotResponse>, Status> {
        self.answer()
    }

    async fn log_level(
        &self,
        _: Request<LogLevelRequest>,
    ) -> Result<Response<LogLevelResponse>, Status> {
        self.answer()
    }

    type ClusterVerifyStream = Iter<std::vec::IntoIter<Result<Replica, Status>>>;

    async fn cluster_verify(
        &self,
        _: Request<ClusterVerifyRequest>,
    ) -> Result<Response<Self::ClusterVerifyStream>, Status> {
        Ok(Response::new(tokio_stream::iter(Vec::new())))
    }

    async fn policy_show(
        &self,
        _: Request<PolicyShowRequest>,
    ) -> Result<Response<PolicyShowResponse>, Status> {
        self.answer()
    }

    async fn policy_apply(
        &self,
        _: Request<PolicyApplyRequest>,
    ) -> Result<Response<PolicyApplyResponse>, Status> {
        self.answer()
    }

    type BackupStream = Iter<std::vec::IntoIter<Result<BackupChunk, Status>>>;

    async fn backup(
        &self,
        _: Request<BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        Ok(Response::new(tokio_stream::iter(Vec::new())))
    }
}

/// Starts a node; returns its address and its task.
async fn start(node: Node) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = Server::builder()
        .add_service(AdminServer::new(node))
        .serve_with_incoming(TcpIncoming::from(listener));
    (address, tokio::spawn(async move { served.await.unwrap() }))
}

/// Asks the nodes with these answers, a closed port first.
async fn ask(answers: Vec<Option<Status>>) -> Result<StatusResponse, String> {
    let mut addresses = vec!["127.0.0.1:1".to_owned()];
    let mut nodes = Vec::new();
    for answer in answers {
        let (address, node) = start(Node(answer)).await;
        addresses.push(address);
        nodes.push(node);
    }
    let servers = Servers::new(&addresses, &TlsFiles::default()).unwrap();
    let answer = servers
        .ask(async |mut client: Client| Ok(client.status(StatusRequest {}).await?.into_inner()))
        .await;
    nodes.iter().for_each(JoinHandle::abort);
    answer.map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_next_node_is_asked_when_one_can_not_answer() {
    let answer = ask(vec![Some(Status::unavailable("no quorum")), None]).await;
    assert_eq!(answer, Ok(StatusResponse::default()));
}

/// Something that says this to whoever connects.
async fn start_foreign(words: &'static [u8]) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(words).await.unwrap();
            // Until the other end has had enough of it.
            while stream
                .read(&mut [0; 1024])
                .await
                .is_ok_and(|octets| octets > 0)
            {}
        }
    };
    (address, tokio::spawn(served))
}

#[tokio::test]
async fn what_speaks_no_grpc_is_no_node_and_the_next_is_asked() {
    let tls_alert = b"\x15\x03\x03\x00\x02\x02\x46".as_slice();
    for words in [b"220 mx.example.net ESMTP Layover\r\n", tls_alert] {
        let (foreign, task) = start_foreign(words).await;
        let (sound, node) = start(Node(None)).await;
        let status =
            async |mut client: Client| Ok(client.status(StatusRequest {}).await?.into_inner());
        let both = Servers::new(&[foreign.clone(), sound], &TlsFiles::default()).unwrap();
        assert_eq!(both.ask(status).await.unwrap(), StatusResponse::default());
        let alone = Servers::new(std::slice::from_ref(&foreign), &TlsFiles::default()).unwrap();
        let error = alone.ask(status).await.unwrap_err().to_string();
        let begins = format!("no node answered: {foreign}: the other end does not speak gRPC");
        assert!(error.starts_with(&begins), "{error}");
        assert!(error.contains("[admin] listen"), "{error}");
        assert!(error.contains("--tls-ca"), "{error}");
        task.abort();
        node.abort();
    }
}

#[tokio::test]
async fn a_refusal_is_an_answer() {
    let error = ask(vec![Some(Status::not_found("no such domain")), None])
        .await
        .unwrap_err();
    assert_eq!(error, "no such domain");
}

#[tokio::test]
async fn when_nobody_does_it_each_reason_is_told() {
    let error = ask(vec![Some(Status::unavailable("no quorum"))])
        .await
        .unwrap_err();
    assert!(
        error.starts_with("not done, as far as is known: 127.0.0.1:1: Connection refused"),
        "{error}"
    );
    assert!(error.ends_with(" says: no quorum"), "{error}");
    let error = ask(vec![]).await.unwrap_err();
    assert!(
        error.starts_with("no node answered: 127.0.0.1:1: Connection refused"),
        "{error}"
    );
}

#[test]
fn what_to_look_at_depends_on_where_nobody_answered() {
    let advice = |addresses: &[&str], is_reached| {
        let addresses: Vec<String> = addresses
            .iter()
            .map(|&address| address.to_owned())
            .collect();
        let servers = Servers::new(&addresses, &TlsFiles::default()).unwrap();
        servers.advice(&[], is_reached)
    };
    let here = ["127.0.0.1:7401", "[::1]:7401", "localhost:7401"];
    assert!(advice(&here, false).contains("systemctl status layoverd"));
    assert_eq!(advice(&here, true), "");
    let there = ["127.0.0.1:7401", "mx2.internal:7401"];
    assert!(advice(&there, false).contains("--tls-ca"));
}

#[tokio::test]
async fn a_list_that_breaks_off_is_no_complete_list() {
    let (address, node) = start(Node(None)).await;
    let servers = Servers::new(&[address], &TlsFiles::default()).unwrap();
    let command = crate::arguments::QueueCommand::List(crate::arguments::List::default());
    let mut output = crate::output::Output::new(false);
    let error = crate::queue::run(&servers, &mut output, command)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "the list broke off: disk gone");
    node.abort();
}

#[tokio::test]
async fn a_change_that_breaks_off_is_no_success() {
    let (address, node) = start(Node(None)).await;
    let servers = Servers::new(&[address], &TlsFiles::default()).unwrap();
    let selection = crate::arguments::Selection {
        all: true,
        ..crate::arguments::Selection::default()
    };
    let command = crate::arguments::QueueCommand::Hold(selection);
    let mut output = crate::output::Output::new(true);
    let error = crate::queue::run(&servers, &mut output, command)
        .await
        .unwrap_err();
    let words = error.to_string();
    assert!(words.starts_with("broken off: held: 0 messages"), "{words}");
    node.abort();
}
