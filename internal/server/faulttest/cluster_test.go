package faulttest

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rapport.example/internal/store/storetest"
)

// natsCluster starts three servers and returns them with the URL of all.
func natsCluster(t *testing.T) (procs map[string]*natsProcess, url string) {
	t.Helper()
	const size = 3
	free := ports(t, 2*size)
	var routes []string
	for i := range size {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", free[size+i]))
	}
	procs = map[string]*natsProcess{}
	for i := range size {
		s := natsSpec{Name: fmt.Sprintf("n%d", i), Dir: t.TempDir(), Port: free[i], Cluster: free[size+i], Routes: routes}
		procs[s.Name] = s.start(t)
		if url != "" {
			url += ","
		}
		url += s.url()
	}
	within(t, time.Minute, "the NATS cluster has a leader", func() bool {
		nc, err := nats.Connect(url)
		if err != nil {
			return false
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			return false
		}
		_, err = js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "probe", Subjects: []string{"probe"}, Replicas: size})
		return err == nil
	})
	return procs, url
}

// leader names the server that leads a partition's stream.
func leader(t *testing.T, url string, partition int64) string {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), fmt.Sprintf("RAPPORT_P%d", partition))
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().Cluster.Leader
}

// TestCluster runs two nodes on PostgreSQL and three NATS servers. Under load it kills the NATS server that leads the
// log, then the node that applies: the other one takes over, and nothing is lost or doubled.
func TestCluster(t *testing.T) {
	t.Parallel()
	procs, url := natsCluster(t)
	mails := newPeer(t)
	p := newPlace(t, storetest.Postgres)
	p.nats, p.smtp = url, mails.url
	owner := p.start(t) // it takes all partitions before the other one comes
	owner.apply(t, example(t))
	db := p.sql(t)
	within(t, time.Minute, "the first node owns all partitions", func() bool { return count(t, db, `SELECT COUNT(*) FROM partitions WHERE owner = ''`) == 0 })
	second := p
	second.data = t.TempDir()
	other := second.start(t)

	l, stop := begin(t, owner, owner.url, other.url)
	enough := func(what string, least int) {
		t.Helper()
		before := l.count()
		within(t, time.Minute, what, func() bool { return l.count() >= before+least })
	}
	enough("events flow", 300)
	partition := count(t, db, `SELECT partition_id FROM workspaces`)
	lead := leader(t, url, partition)
	procs[lead].kill()
	t.Logf("killed NATS server %s, the leader", lead)
	enough("events flow without the NATS server", 300)

	epoch := count(t, db, fmt.Sprintf(`SELECT epoch FROM partitions WHERE id = %d`, partition))
	checkpoint := count(t, db, fmt.Sprintf(`SELECT checkpoint FROM partitions WHERE id = %d`, partition))
	owner.kill()
	killed := time.Now()
	within(t, time.Minute, "the other node takes over", func() bool {
		return count(t, db, fmt.Sprintf(`SELECT epoch FROM partitions WHERE id = %d`, partition)) > epoch
	})
	took := time.Since(killed)
	within(t, time.Minute, "the other node applies", func() bool {
		return count(t, db, fmt.Sprintf(`SELECT checkpoint FROM partitions WHERE id = %d`, partition)) > checkpoint
	})
	t.Logf("take-over after %s, applying after %s", took.Round(time.Millisecond), time.Since(killed).Round(time.Millisecond))
	enough("events flow on the other node", 300)
	stop()
	other.identify(t, "late", `{"email":"late@example.com","plan":"pro"}`)
	other.track(t, "late", "signed_up")
	within(t, time.Minute, "the welcome of who came last", func() bool { return mails.to("late@example.com", "Welcome") == 1 })
	l.check(t, other, db)
	if twice := mails.twice("Thank you"); len(twice) > 0 {
		t.Errorf("%v got a message twice", twice)
	}
}
