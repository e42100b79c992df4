import com.lmax.disruptor.BatchEventProcessor;
import com.lmax.disruptor.BlockingWaitStrategy;
import com.lmax.disruptor.BusySpinWaitStrategy;
import com.lmax.disruptor.EventHandler;
import com.lmax.disruptor.RingBuffer;
import com.lmax.disruptor.Sequence;
import com.lmax.disruptor.SequenceBarrier;
import com.lmax.disruptor.WaitStrategy;
import com.lmax.disruptor.YieldingWaitStrategy;
import com.lmax.disruptor.dsl.ProducerType;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;

/**
 * LMAX's Disruptor as a peer: takes one request per line, and answers it when it is told to go.
 * The requests and answers are described in {@code src/peers/lmax.rs}.
 *
 * <p>Events are published with {@code next} and {@code publish}, ranges of them too, and each handler
 * has a {@code BatchEventProcessor}. Each kind of request is run once, unmeasured, before its first
 * answer, so that the compiler has seen it.
 */
public final class Lmax {
    private static final int WARM_UP = 2_000_000;

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        Set<String> warm = new HashSet<>();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            try {
                Request request = new Request(line);
                if (warm.add(request.kind())) {
                    lap(request.shortened()).run();
                    lap(request.shortened()).run();
                }
                Lap lap = lap(request);
                answer("ready");
                if (!"go".equals(in.readLine())) {
                    return;
                }
                answer(lap.run());
            } catch (RuntimeException error) {
                answer("error " + error);
            }
        }
    }

    private static void answer(String text) {
        System.out.println(text);
        System.out.flush();
    }

    private static Lap lap(Request request) {
        return switch (request.verb) {
            case "throughput" -> new Throughput(request);
            case "pingpong" -> new PingPong(request);
            case "paced" -> new Paced(request);
            default -> throw new IllegalArgumentException("no request is called " + request.verb);
        };
    }

    /** A verb and its settings. */
    private static final class Request {
        final String verb;
        final Map<String, String> settings = new HashMap<>();

        Request(String line) {
            String[] words = line.trim().split(" +");
            verb = words[0];
            for (int word = 1; word < words.length; word++) {
                String[] setting = words[word].split("=", 2);
                settings.put(setting[0], setting[1]);
            }
        }

        String text(String name) {
            String value = settings.get(name);
            if (value == null) {
                throw new IllegalArgumentException(verb + " needs " + name);
            }
            return value;
        }

        int number(String name) {
            return Integer.parseInt(text(name));
        }

        /** What the compiler sees: everything but how much there is to do. */
        String kind() {
            Map<String, String> kind = new HashMap<>(settings);
            kind.keySet().removeAll(Set.of("events", "trips"));
            return verb + kind;
        }

        Request shortened() {
            Request less = new Request(verb);
            less.settings.putAll(settings);
            less.settings.computeIfPresent("events", (name, all) -> "" + Math.min(Integer.parseInt(all), WARM_UP));
            less.settings.computeIfPresent("trips", (name, all) -> "" + Math.min(Integer.parseInt(all), 20_000));
            if (verb.equals("throughput")) {
                int whole = number("producers") * number("batch");
                less.settings.put("events", "" + less.number("events") / whole * whole);
            }
            return less;
        }

        WaitStrategy waitStrategy() {
            return switch (text("wait")) {
                case "busy" -> new BusySpinWaitStrategy();
                case "yielding" -> new YieldingWaitStrategy();
                case "blocking" -> new BlockingWaitStrategy();
                default -> throw new IllegalArgumentException("no way to wait is called " + text("wait"));
            };
        }

        RingBuffer<Event> ring(ProducerType type, int bytes) {
            return RingBuffer.create(type, () -> new Event(bytes), number("capacity"), waitStrategy());
        }
    }

    /** At least one number; the rest of a larger event is there to be carried along. */
    private static final class Event {
        long value;
        final long[] more;

        Event(int bytes) {
            more = bytes > 8 ? new long[bytes / 8 - 1] : null;
        }

        void set(long to) {
            value = to;
            if (more != null) {
                java.util.Arrays.fill(more, to);
            }
        }

        long sum() {
            long sum = value;
            if (more != null) {
                for (long word : more) {
                    sum += word;
                }
            }
            return sum;
        }
    }

    /** One measurement, whose threads wait to begin. */
    private abstract static class Lap {
        private final List<Thread> threads = new ArrayList<>();
        private final List<BatchEventProcessor<Event>> processors = new ArrayList<>();
        private final CountDownLatch go = new CountDownLatch(1);
        private final CountDownLatch done;
        private long began = Long.MAX_VALUE;
        private long ended;

        Lap(int handlers) {
            done = new CountDownLatch(handlers);
        }

        /** Adds a handler behind others, or behind the producers if there are none. */
        Sequence consume(RingBuffer<Event> ring, Handler handler, Sequence... behind) {
            handler.lap = this;
            var processor = new BatchEventProcessor<>(ring, ring.newBarrier(behind), handler);
            start("consumer-" + processors.size(), processor);
            processors.add(processor);
            return processor.getSequence();
        }

        void produce(int number, Runnable work) {
            start("producer-" + number, () -> {
                try {
                    go.await();
                } catch (InterruptedException error) {
                    throw new IllegalStateException(error);
                }
                long now = System.nanoTime();
                synchronized (this) {
                    began = Math.min(began, now);
                }
                work.run();
            });
        }

        private void start(String name, Runnable work) {
            Thread thread = new Thread(work, name);
            threads.add(thread);
            thread.start();
        }

        synchronized void handled() {
            ended = System.nanoTime();
            done.countDown();
        }

        synchronized long nanos() {
            return ended - began;
        }

        final String run() throws InterruptedException {
            go.countDown();
            done.await();
            processors.forEach(BatchEventProcessor::halt);
            for (Thread thread : threads) {
                thread.join();
            }
            return result();
        }

        abstract String result();
    }

    /**
     * The handler of all laps. One class, since a call that meets several is slower for all of them.
     */
    private static final class Handler implements EventHandler<Event> {
        private final long last;
        /** Where to send the event on, if anywhere. */
        private final RingBuffer<Event> answers;
        /** Where to note how late the event is, if anywhere. */
        private final Histogram histogram;
        private Lap lap;
        private long sum;

        Handler(long events, RingBuffer<Event> answers, Histogram histogram) {
            this.last = events - 1;
            this.answers = answers;
            this.histogram = histogram;
        }

        @Override
        public void onEvent(Event event, long sequence, boolean endOfBatch) {
            if (histogram != null) {
                histogram.add(sequence, System.nanoTime() - event.value);
            } else if (answers != null) {
                long next = answers.next();
                answers.get(next).value = event.value;
                answers.publish(next);
            } else {
                sum += event.sum();
            }
            if (sequence == last) {
                lap.handled();
            }
        }
    }

    private static final class Throughput extends Lap {
        private final List<Handler> handlers = new ArrayList<>();
        private final long expected;

        Throughput(Request request) {
            super(request.number("consumers"));
            int producers = request.number("producers");
            int batch = request.number("batch");
            int events = request.number("events");
            int bytes = request.number("bytes");
            long share = events / producers;
            expected = producers * (share * (share + 1) / 2) * (bytes / 8);
            boolean shared = Boolean.parseBoolean(request.text("shared"));
            RingBuffer<Event> ring = request.ring(shared ? ProducerType.MULTI : ProducerType.SINGLE, bytes);
            List<Sequence> sequences = new ArrayList<>();
            for (int index = 0; index < request.number("consumers"); index++) {
                Handler handler = new Handler(events, null, null);
                handlers.add(handler);
                Sequence[] behind = switch (request.text("shape")) {
                    case "unicast", "multicast" -> new Sequence[0];
                    case "pipeline" -> index == 0 ? new Sequence[0] : new Sequence[] {sequences.get(index - 1)};
                    case "diamond" -> index < 2 ? new Sequence[0] : sequences.toArray(new Sequence[0]);
                    default -> throw new IllegalArgumentException("no shape is called " + request.text("shape"));
                };
                sequences.add(consume(ring, handler, behind));
            }
            ring.addGatingSequences(sequences.toArray(new Sequence[0]));
            for (int number = 0; number < producers; number++) {
                produce(number, batch == 1 ? () -> singles(ring, share) : () -> batches(ring, share, batch));
            }
        }

        private static void singles(RingBuffer<Event> ring, long share) {
            for (long value = 1; value <= share; value++) {
                long sequence = ring.next();
                ring.get(sequence).set(value);
                ring.publish(sequence);
            }
        }

        private static void batches(RingBuffer<Event> ring, long share, int batch) {
            for (long value = 1; value <= share; value += batch) {
                long high = ring.next(batch);
                long low = high - batch + 1;
                for (long sequence = low; sequence <= high; sequence++) {
                    ring.get(sequence).set(value + sequence - low);
                }
                ring.publish(low, high);
            }
        }

        @Override
        String result() {
            for (Handler handler : handlers) {
                if (handler.sum != expected) {
                    return "error the events sum to " + handler.sum + " instead of " + expected;
                }
            }
            return "nanos " + nanos();
        }
    }

    private static final class PingPong extends Lap {
        private final Histogram histogram;

        PingPong(Request request) {
            super(1);
            int trips = request.number("trips");
            long pause = request.number("pause_ns");
            histogram = new Histogram(trips);
            RingBuffer<Event> questions = request.ring(ProducerType.SINGLE, 8);
            RingBuffer<Event> answers = request.ring(ProducerType.SINGLE, 8);
            questions.addGatingSequences(consume(questions, new Handler(trips, answers, null)));
            Sequence read = new Sequence(-1);
            answers.addGatingSequences(read);
            SequenceBarrier barrier = answers.newBarrier();
            produce(0, () -> ping(questions, answers, barrier, read, trips, pause));
        }

        private void ping(
                RingBuffer<Event> questions,
                RingBuffer<Event> answers,
                SequenceBarrier barrier,
                Sequence read,
                int trips,
                long pause) {
            for (long trip = 0; trip < trips; trip++) {
                long began = System.nanoTime();
                long next = questions.next();
                questions.get(next).value = trip;
                questions.publish(next);
                try {
                    barrier.waitFor(trip);
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
                if (answers.get(trip).value != trip) {
                    throw new IllegalStateException("trip " + trip + " came back as " + answers.get(trip).value);
                }
                read.set(trip);
                long ended = System.nanoTime();
                histogram.add(trip, ended - began);
                while (System.nanoTime() - ended < pause) {
                    Thread.onSpinWait();
                }
            }
        }

        @Override
        String result() {
            return histogram.toString();
        }
    }

    private static final class Paced extends Lap {
        private final Histogram histogram;

        Paced(Request request) {
            super(1);
            int events = request.number("events");
            long rate = request.number("rate");
            histogram = new Histogram(events);
            RingBuffer<Event> ring = request.ring(ProducerType.SINGLE, 8);
            ring.addGatingSequences(consume(ring, new Handler(events, null, histogram)));
            produce(0, () -> publish(ring, events, rate));
        }

        /** The event carries the time at which it should have been sent, so that no delay is left out. */
        private static void publish(RingBuffer<Event> ring, int events, long rate) {
            long start = System.nanoTime();
            for (long event = 0; event < events; event++) {
                long due = start + event * 1_000_000_000L / rate;
                while (System.nanoTime() - due < 0) {
                    Thread.onSpinWait();
                }
                long next = ring.next();
                ring.get(next).value = due;
                ring.publish(next);
            }
        }

        @Override
        String result() {
            return histogram.toString();
        }
    }

    /** Counts of values, exact below 128 and to 1 part in 128 above. The first tenth is left out. */
    private static final class Histogram {
        private static final int EXACT = 128;
        private final long[] counts = new long[64 * EXACT];
        private final long first;

        Histogram(long all) {
            first = all / 10;
        }

        void add(long number, long value) {
            if (number >= first) {
                long positive = Math.max(value, 0);
                int shift = Math.max(0, 56 - Long.numberOfLeadingZeros(positive));
                counts[shift * EXACT + (int) (positive >>> shift)]++;
            }
        }

        @Override
        public String toString() {
            StringBuilder text = new StringBuilder("latency");
            for (int index = 0; index < counts.length; index++) {
                if (counts[index] > 0) {
                    // Above the exact values, the upper half of each block is in use.
                    int shift = index < 2 * EXACT ? 0 : index / EXACT - 1;
                    long value = (long) (index - shift * EXACT) << shift;
                    text.append(' ').append(value).append(':').append(counts[index]);
                }
            }
            return text.toString();
        }
    }
}
