package fi.silta.interop;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.ResultSeverityEnum;
import ca.uhn.fhir.validation.SingleValidationMessage;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.UnknownCodeSystemWarningValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r4.model.MetadataResource;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;

/**
 * What HAPI's validator makes of FHIR R4 resources, for a test that compares it with what Silta makes of them.
 *
 * <p>{@code FhirJudge THREADS [FOLDER...]} reads names of files, one a line, until its input ends, and prints a line of
 * JSON for each when it has validated it, in any order if there are several threads:
 *
 * <pre>
 * {"file":"…","nanos":1234,"total":5678,"issues":[{"severity":"ERROR","id":"…","at":"Patient.birthDate","line":1,"column":2,"text":"…"}]}
 * </pre>
 *
 * <p>nanos is the processor time of the whole process for the file, compilers and collectors too, so it means something
 * with one thread only; total is that since its start. An exception is an issue whose id is its class.
 *
 * <p>The folders hold StructureDefinitions, ValueSets, CodeSystems and so on, each in a JSON file, to know beside those
 * of R4; other resources there are passed over. Nothing comes from a network, so what a profile or a code system says that isn't here is left
 * open (a warning).
 */
public final class FhirJudge {
    private final FhirContext context = FhirContext.forR4();
    private final FhirValidator validator = context.newValidator();
    private final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    private FhirJudge(List<Path> folders) throws IOException {
        PrePopulatedValidationSupport known = new PrePopulatedValidationSupport(context);
        for (Path folder : folders) {
            try (Stream<Path> files = Files.list(folder)) {
                for (Path file : files.filter(f -> f.toString().endsWith(".json")).sorted().toList()) {
                    IBaseResource resource = context.newJsonParser().parseResource(Files.readString(file));
                    if (resource instanceof MetadataResource) { // not an example
                        known.addResource(resource);
                    }
                }
            }
        }
        UnknownCodeSystemWarningValidationSupport unknown = new UnknownCodeSystemWarningValidationSupport(context);
        unknown.setNonExistentCodeSystemSeverity(IValidationSupport.IssueSeverity.WARNING);
        FhirInstanceValidator rules = new FhirInstanceValidator(new ValidationSupportChain(
                new DefaultProfileValidationSupport(context),
                new CommonCodeSystemsTerminologyService(context),
                new InMemoryTerminologyServerValidationSupport(context),
                known,
                new SnapshotGeneratingValidationSupport(context),
                unknown));
        rules.setBestPracticeWarningLevel(BestPracticeWarningLevel.Ignore);
        rules.setErrorForUnknownProfiles(false);
        validator.registerValidatorModule(rules);
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        FhirJudge judge = new FhirJudge(Stream.of(arguments).skip(1).map(Path::of).toList());
        ExecutorService threads = Executors.newFixedThreadPool(Integer.parseInt(arguments[0]));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String file = line;
            threads.execute(() -> judge.judge(file));
        }
        threads.shutdown();
        threads.awaitTermination(1, TimeUnit.DAYS);
    }

    private void judge(String file) {
        JsonArray issues = new JsonArray();
        long from = processorTime();
        try {
            for (SingleValidationMessage m : validator.validateWithResult(Files.readString(Path.of(file))).getMessages()) {
                issues.add(issue(m));
            }
        } catch (IOException | RuntimeException | StackOverflowError e) {
            SingleValidationMessage m = new SingleValidationMessage();
            m.setSeverity(ResultSeverityEnum.FATAL);
            m.setMessageId(e.getClass().getName());
            m.setMessage(e.getMessage());
            issues.add(issue(m));
        }
        JsonObject answer = new JsonObject();
        answer.addProperty("file", file);
        long to = processorTime();
        answer.addProperty("nanos", to - from);
        answer.addProperty("total", to);
        answer.add("issues", issues);
        out.println(answer);
    }

    private static JsonObject issue(SingleValidationMessage m) {
        JsonObject issue = new JsonObject();
        issue.addProperty("severity", m.getSeverity().name());
        issue.addProperty("id", m.getMessageId());
        issue.addProperty("at", m.getLocationString());
        issue.addProperty("line", m.getLocationLine());
        issue.addProperty("column", m.getLocationCol());
        issue.addProperty("text", m.getMessage());
        return issue;
    }

    private static long processorTime() {
        return ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class).getProcessCpuTime();
    }
}
