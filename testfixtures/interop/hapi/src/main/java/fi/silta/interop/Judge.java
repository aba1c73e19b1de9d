package fi.silta.interop;

import ca.uhn.hl7v2.DefaultHapiContext;
import ca.uhn.hl7v2.HL7Exception;
import ca.uhn.hl7v2.llp.ExtendedMinLLPReader;
import ca.uhn.hl7v2.llp.LLPException;
import ca.uhn.hl7v2.model.Group;
import ca.uhn.hl7v2.model.Message;
import ca.uhn.hl7v2.model.Segment;
import ca.uhn.hl7v2.model.Structure;
import ca.uhn.hl7v2.model.Type;
import ca.uhn.hl7v2.parser.PipeParser;
import ca.uhn.hl7v2.util.Terser;
import ca.uhn.hl7v2.validation.impl.ValidationContextFactory;
import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * What HAPI makes of messages, for a test that compares it with what Silta makes of them.
 *
 * <p>{@code Judge DIR} parses each file of DIR, in the order of their names, and prints for each
 *
 * <pre>
 * = NAME                       one for each file
 * ! CLASS                      if HAPI refused it: the exception
 * PID(1)       "3"             a segment, and where it stands in the message
 * PID(1)-5(1).1.1  "Mäki"      a leaf that isn't empty, its text decoded, as a JSON string
 * </pre>
 *
 * <p>{@code Judge strict DIR} does the same with the validation that HAPI applies unless told otherwise.
 *
 * <p>{@code Judge speed DIR} prints the number of messages, and then, for each line that it reads, the nanoseconds
 * of processor time, of all threads, that it took to parse them all once.
 *
 * <p>The parser is the PipeParser of a new context, so unexpected segments are kept where they stand, an OBX-5 without a
 * known OBX-2 is refused, and so is a version without classes. Only validation is changed.
 */
public final class Judge {
    private final PipeParser parser;
    private final PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    private Judge(boolean strict) {
        DefaultHapiContext context = new DefaultHapiContext();
        // Whether a value is legal is another question than what it is, and validation would cost HAPI time.
        context.setValidationContext(strict ? ValidationContextFactory.defaultValidation() : ValidationContextFactory.noValidation());
        parser = context.getPipeParser();
    }

    public static void main(String[] arguments) throws IOException {
        String mode = arguments.length > 1 ? arguments[0] : "";
        Path folder = Path.of(arguments[arguments.length - 1]);
        Judge judge = new Judge(mode.equals("strict"));
        if (mode.equals("speed")) {
            judge.speed(folder);
            return;
        }
        for (Path file : files(folder)) {
            judge.out.println("= " + file.getFileName());
            judge.judge(Files.readAllBytes(file));
        }
        judge.out.flush();
    }

    private static List<Path> files(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.sorted().toList();
        }
    }

    private void judge(byte[] bytes) {
        Message message;
        try {
            message = parser.parse(read(bytes));
        } catch (HL7Exception | LLPException | IOException | RuntimeException e) {
            out.println("! " + e.getClass().getName());
            return;
        }
        try {
            List<Segment> segments = new ArrayList<>();
            collect(message, segments);
            Map<String, Integer> counts = new HashMap<>();
            for (int i = 0; i < segments.size(); i++) {
                String name = segments.get(i).getName();
                name += "(" + counts.merge(name, 1, Integer::sum) + ")";
                print(name, Integer.toString(i + 1));
                print(name, segments.get(i));
            }
        } catch (HL7Exception e) {
            throw new IllegalStateException(e); // reading what was parsed can't fail
        }
    }

    /**
     * Reads bytes as a HAPI server that heeds MSH-18 does, UTF-8 where it says nothing. PipeParser knows CR only; HAPI's
     * own reader of files turns other line ends into CR, and so does this, but for a LF inside a text.
     */
    private static String read(byte[] bytes) throws IOException, LLPException {
        ByteArrayOutputStream frame = new ByteArrayOutputStream();
        frame.write(0x0b);
        frame.write(bytes);
        frame.write(0x1c);
        frame.write('\r');
        String text = new ExtendedMinLLPReader(new ByteArrayInputStream(frame.toByteArray()), StandardCharsets.UTF_8).getMessage();
        return text.indexOf('\r') < 0 ? text.replace('\n', '\r') : text.replace("\r\n", "\r");
    }

    /** Gives the segments in the order of the structure, which is the order in which the parser filled it. */
    private static void collect(Group group, List<Segment> to) throws HL7Exception {
        for (String name : group.getNames()) {
            for (Structure s : group.getAll(name)) {
                if (s instanceof Group inner) {
                    collect(inner, to);
                } else {
                    to.add((Segment) s);
                }
            }
        }
    }

    private void print(String name, Segment segment) throws HL7Exception {
        for (int f = 1; f <= segment.numFields(); f++) {
            Type[] repetitions = segment.getField(f);
            for (int r = 0; r < repetitions.length; r++) {
                for (int c = 1; c <= Terser.numComponents(repetitions[r]); c++) {
                    for (int s = 1; s <= Terser.numSubComponents(repetitions[r], c); s++) {
                        String text = Terser.getPrimitive(repetitions[r], c, s).getValue();
                        if (text != null && !text.isEmpty()) {
                            print(name + "-" + f + "(" + (r + 1) + ")." + c + "." + s, text);
                        }
                    }
                }
            }
        }
    }

    private void print(String path, String text) {
        StringBuilder line = new StringBuilder(path).append("\t\"");
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                line.append('\\').append(c);
            } else if (c < ' ' || c == 0x7f) {
                line.append(String.format("\\u%04x", (int) c));
            } else {
                line.append(c);
            }
        }
        out.println(line.append('"'));
    }

    private void speed(Path folder) throws IOException {
        List<String> messages = new ArrayList<>();
        for (Path file : files(folder)) {
            messages.add(Files.readString(file));
        }
        System.out.println(messages.size());
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        while (in.readLine() != null) {
            long from = processorTime();
            for (String message : messages) {
                try {
                    parser.parse(message);
                } catch (HL7Exception e) {
                    throw new IllegalStateException("only messages that HAPI parses are measured", e);
                }
            }
            System.out.println(processorTime() - from);
        }
    }

    private static long processorTime() {
        return ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class).getProcessCpuTime();
    }
}
