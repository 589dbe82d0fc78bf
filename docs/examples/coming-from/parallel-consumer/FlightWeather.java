import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.confluent.parallelconsumer.ParallelConsumerOptions;
import io.confluent.parallelconsumer.ParallelConsumerOptions.ProcessingOrder;
import io.confluent.parallelconsumer.ParallelStreamProcessor;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The weather of its origin into each flight, each key in order. */
public class FlightWeather {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final HttpClient HTTP = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

  public static void main(String[] args) {
    String brokers = System.getenv().getOrDefault("BROKERS", "127.0.0.1:9092");
    var consumer = new KafkaConsumer<String, String>(Map.of(
        "bootstrap.servers", brokers, "group.id", "flight-weather",
        "enable.auto.commit", false, "auto.offset.reset", "earliest"),
        new StringDeserializer(), new StringDeserializer());
    var producer = new KafkaProducer<String, String>(Map.of("bootstrap.servers", brokers),
        new StringSerializer(), new StringSerializer());

    var options = ParallelConsumerOptions.<String, String>builder()
        .ordering(ProcessingOrder.KEY)
        .maxConcurrency(64)
        .consumer(consumer)
        .producer(producer)
        .build();
    ParallelStreamProcessor<String, String> processor = ParallelStreamProcessor.createEosStreamProcessor(options);
    processor.subscribe(List.of("flights"));
    Runtime.getRuntime().addShutdownHook(new Thread(processor::close));
    processor.pollAndProduce(context -> withWeather(context.getSingleConsumerRecord()));
  }

  private static ProducerRecord<String, String> withWeather(ConsumerRecord<String, String> record) {
    ObjectNode flight;
    try {
      flight = (ObjectNode) JSON.readTree(record.value());
    } catch (JsonProcessingException | ClassCastException e) {
      return rejected(record);
    }
    JsonNode origin = flight.get("origin");
    if (origin == null || !origin.isTextual()) {
      return rejected(record);
    }
    HttpResponse<String> answer;
    try {
      var request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:8080/weather/" + origin.textValue()))
          .timeout(Duration.ofSeconds(10)).build();
      answer = HTTP.send(request, HttpResponse.BodyHandlers.ofString());
    } catch (Exception e) {
      throw new RuntimeException(e); // Parallel Consumer tries the record again
    }
    if (answer.statusCode() >= 500 || answer.statusCode() == 429) {
      throw new RuntimeException("status " + answer.statusCode());
    }
    if (answer.statusCode() != 200) {
      return rejected(record);
    }
    try {
      flight.set("weather", JSON.readTree(answer.body()));
      return new ProducerRecord<>("flights-with-weather", record.key(), JSON.writeValueAsString(flight));
    } catch (JsonProcessingException e) {
      return rejected(record);
    }
  }

  private static ProducerRecord<String, String> rejected(ConsumerRecord<String, String> record) {
    return new ProducerRecord<>("flights-rejected", record.key(), record.value());
  }
}
