import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import org.sourcelab.kafka.connect.apiclient.Configuration;
import org.sourcelab.kafka.connect.apiclient.KafkaConnectClient;
import org.sourcelab.kafka.connect.apiclient.request.dto.ConnectorStatus;
import org.sourcelab.kafka.connect.apiclient.request.dto.NewConnectorDefinition;

/** Takes a connector through its life with SourceLab's client of Kafka Connect: Life URL CONNECTOR CONFIG.json */
public class Life {
    public static void main(String[] args) throws Exception {
        String name = args[1];
        Map<String, String> config = new HashMap<>();
        Matcher m = Pattern.compile("\"([^\"]+)\":\"([^\"]*)\"").matcher(Files.readString(Path.of(args[2])));
        while (m.find()) {
            config.put(m.group(1), m.group(2));
        }
        KafkaConnectClient c = new KafkaConnectClient(new Configuration(args[0]));
        want("version", c.getConnectServerVersion().getVersion() != null);
        want("create", c.addConnector(NewConnectorDefinition.newBuilder().withName(name).withConfig(config).build()).getName().equals(name));
        awaitState(c, name, "RUNNING");
        want("list", c.getConnectors().contains(name));
        want("expanded list", c.getConnectorsWithAllExpandedMetadata().getDefinitionForConnector(name) != null);
        want("config", c.getConnectorConfig(name).get("topic.prefix").equals(config.get("topic.prefix")));
        config.put("heartbeat.interval.ms", "60000");
        want("update", c.updateConnectorConfig(name, config).getConfig().get("heartbeat.interval.ms").equals("60000"));
        awaitState(c, name, "RUNNING");
        want("tasks", c.getConnectorTasks(name).size() == 1);
        want("topics", c.getConnectorTopics(name) != null);
        want("reset of the topics", c.resetConnectorTopics(name));
        want("plugins", !c.getConnectorPlugins().isEmpty());
        want("pause", c.pauseConnector(name));
        awaitState(c, name, "PAUSED");
        want("resume", c.resumeConnector(name));
        want("restart", c.restartConnector(name));
        awaitState(c, name, "RUNNING");
        want("restart of the task", c.restartConnectorTask(name, 0));
        want("delete", c.deleteConnector(name));
        want("deleted", !c.getConnectors().contains(name));
        System.out.println("done");
        System.exit(0);
    }

    static void want(String what, boolean ok) {
        if (!ok) {
            System.out.println(what);
            System.exit(1);
        }
    }

    static void awaitState(KafkaConnectClient c, String name, String state) throws Exception {
        ConnectorStatus last = null;
        for (int i = 0; i < 300; i++) {
            last = c.getConnectorStatus(name);
            if (last.getConnector().get("state").equals(state) && last.getTasks().size() == 1 && last.getTasks().get(0).getState().equals(state)) {
                return;
            }
            Thread.sleep(100);
        }
        want(state + ": last " + last, false);
    }
}
